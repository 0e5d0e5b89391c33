"""What msgspec raises at a value that it cannot decode. No I/O."""

from typing import Final

import msgspec

#: Text that is no UTF-8, and arrays in a thousand arrays, have exceptions of their own.
UNDECODABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
