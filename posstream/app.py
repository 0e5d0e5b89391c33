"""The production entry point: `faust -A posstream.app worker -l info`.

The only module that reads the environment and makes an app when it is imported.
"""

import sys

from posstream.domain.errors import PosstreamError
from posstream.factory import create_app
from posstream.settings import Settings, unknown_settings
from posstream.streaming.app import install_event_loop

install_event_loop()
for _warning in unknown_settings():
    print(f"warning: {_warning}", file=sys.stderr)  # noqa: T201 - logging is not set up yet
try:
    app = create_app(Settings.from_environment())
except PosstreamError as _refused:
    sys.exit("\n".join(f"error: {line}" for line in str(_refused).splitlines()))
