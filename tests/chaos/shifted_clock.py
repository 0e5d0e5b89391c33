"""`faust -A tests.chaos.shifted_clock worker`: posstream.app with a wall clock that a test sets.

The file `clock` in the data directory says by how many seconds it is wrong. Like posstream.app,
this makes an app when it is imported.
"""

import time

from posstream.factory import create_app
from posstream.resilience.clock import Clock
from posstream.settings import Settings
from posstream.streaming import patches
from posstream.streaming.app import install_event_loop

_settings = Settings.from_environment()
_shift = _settings.datadir / "clock"


def _wall_ns() -> int:
    seconds = float(_shift.read_text()) if _shift.exists() else 0.0
    return time.time_ns() + round(seconds * 1e9)


install_event_loop()
patches.install()
app = create_app(_settings, clock=Clock(wall_ns=_wall_ns))
