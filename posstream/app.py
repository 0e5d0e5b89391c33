"""The production entry point: `faust -A posstream.app worker -l info`.

The only module that reads the environment and makes an app when it is imported.
"""

import logging
import sys

from posstream.domain.errors import InvalidSettings
from posstream.factory import create_app
from posstream.settings import Settings, unknown_settings

if sys.platform != "win32":
    import uvloop

    uvloop.install()

# A tenth of all CPU goes into debug lines that nobody sees, otherwise.
logging.getLogger("aiokafka").setLevel(logging.INFO)

for _warning in unknown_settings():
    print(f"warning: {_warning}", file=sys.stderr)  # noqa: T201 - logging is not set up yet
try:
    app = create_app(Settings.from_environment())
except InvalidSettings as _refused:
    sys.exit("\n".join(f"error: {line}" for line in _refused.errors))
