"""Importing the engine leaves out the ORM; a plugin that asks for the ORM gets it."""

import subprocess
import sys

import pytest

_START = "import sys; from posstream.startup.process import own_process; own_process(); "
_ORM = "; print('sqlalchemy.orm' in sys.modules)"


def printed(code: str) -> str:
    """What a new process prints after the start of ours."""
    command = [sys.executable, "-c", _START + code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize(
    "module",
    ["posstream.factory", "posstream.plugins.beside_running", "posstream.read_model.projecting"],
)
def test_no_process_of_a_worker_imports_the_orm(module: str) -> None:
    assert printed(f"import {module}{_ORM}") == "False"


def test_a_plugin_that_wants_sessions_has_them_with_the_same_engine() -> None:
    engine = "from sqlalchemy.ext.asyncio import AsyncEngine as ours; "
    both = "from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession; "
    said = "print(AsyncSession.__name__, AsyncEngine is ours, 'sqlalchemy.orm' in sys.modules)"
    assert printed(engine + both + said) == "AsyncSession True True"


def test_a_name_that_sqlalchemy_does_not_have_is_missing_as_ever() -> None:
    code = "import sqlalchemy.ext.asyncio as it; print(hasattr(it, 'nothing'))"
    assert printed(code) == "False"
