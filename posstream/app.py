"""The production entry point: `faust -A posstream.app worker -l info`.

The only module that reads the environment and makes an app when it is imported.
"""

import argparse
import dataclasses
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posstream.startup.process import own_process

if TYPE_CHECKING:
    from posstream.streaming.host import HostApp


def _app() -> "HostApp":
    # Imported here, after `own_process`.
    from posstream.domain.errors import PosstreamError
    from posstream.logs.setup import JSON, refuse, set_up, tell_warning
    from posstream.plugins.beside_child import spawn_beside
    from posstream.settings import Settings, asked_log_format, unknown_settings

    if asked_log_format() == JSON:  # until Faust's worker sets up the log
        set_up(JSON)
    for warning in unknown_settings():
        tell_warning(warning)
    try:
        settings = dataclasses.replace(Settings.from_environment(), **_options())
        spawned = spawn_beside(settings.plugins) if "worker" in sys.argv else None
        from posstream.factory import create_app
        from posstream.streaming import patches
        from posstream.streaming.app import install_event_loop

        install_event_loop()
        patches.install()
        return create_app(settings, spawned=spawned)
    except PosstreamError as refused:
        refuse(str(refused))


def _options() -> dict[str, Any]:
    """The settings that options of Faust's command line override.

    Faust itself would set them on the finished app, or in the environment, which our app ignores.
    """
    parser = argparse.ArgumentParser(
        add_help=False, allow_abbrev=False, exit_on_error=False, argument_default=argparse.SUPPRESS
    )
    parser.add_argument("-D", "--datadir", type=Path)
    parser.add_argument("-p", "--web-port", type=int)
    parser.add_argument("-b", "--web-bind", dest="web_host")
    try:
        return vars(parser.parse_known_args()[0])
    except argparse.ArgumentError:  # Faust's own parser reports it
        return {}


# What the start makes stays: the collector would look through it again and again.
gc.disable()
own_process()
app = _app()
gc.freeze()
gc.enable()
