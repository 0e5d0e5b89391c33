"""The production entry point: `faust -A posstream.app worker -l info`.

The only module that reads the environment and makes an app when it is imported.
"""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from posstream.process import own_process

if TYPE_CHECKING:
    from posstream.streaming.app import StreamingApp


def _app() -> "StreamingApp":
    # Imported here, when the process is ours.
    from posstream.domain.errors import PosstreamError
    from posstream.factory import create_app
    from posstream.settings import Settings, unknown_settings
    from posstream.streaming.app import install_event_loop

    install_event_loop()
    for warning in unknown_settings():
        print(f"warning: {warning}", file=sys.stderr)  # noqa: T201 - logging is not set up yet
    try:
        settings = Settings.from_environment()
        option = _datadir_option()
        if option is not None:
            settings = dataclasses.replace(settings, datadir=option)
        return create_app(settings)
    except PosstreamError as refused:
        sys.exit("\n".join(f"error: {line}" for line in str(refused).splitlines()))


def _datadir_option() -> Path | None:
    """The folder that `faust --datadir` names; Faust itself would tell us by the environment."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-D", "--datadir", type=Path)
    try:
        given, _ = parser.parse_known_args()
    except argparse.ArgumentError:  # Faust's own parser says so
        return None
    found: Path | None = given.datadir
    return found


own_process()
app = _app()
