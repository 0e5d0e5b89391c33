"""Commands and Faust started beside other programs: among their names and their packages."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.harness import environment


def run(
    *command: str, cwd: Path, safe: bool = False, **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *(["-P"] if safe else []), "-m", *command],
        cwd=cwd,
        env=environment(datadir=cwd / "data") | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# -- beside other programs' names


def test_what_faust_read_when_it_was_imported_is_forgotten(tmp_path: Path) -> None:
    names = {"FAUST_DEBUG": "1", "F_WORKDIR": "/", "NO_CYTHON": "1", "FAUST_CONSOLE_PORT": "1"}
    plain = run("faust", "-A", "posstream.app", "--help", cwd=tmp_path)
    shown = run("faust", "-A", "posstream.app", "--help", cwd=tmp_path, **names)
    assert (shown.returncode, shown.stdout) == (0, plain.stdout)


def test_a_command_that_only_reads_makes_no_directory(tmp_path: Path) -> None:
    options = ("--datadir", str(tmp_path / "given"), "tables")
    shown = run("faust", "-A", "posstream.app", *options, cwd=tmp_path, FAUST_DATADIR="named")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_python_s_own_start_sets_is_taken_out_without_end(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; os.environ['PGHOST'] = 'other'")
    shown = run("faust", "-A", "posstream.app", "tables", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert (shown.returncode, shown.stderr) == (0, "")


def test_options_of_faust_s_stand_in_for_settings(tmp_path: Path) -> None:
    code = "from posstream.app import app; c = app.conf; print(c.web_port, c.web_bind, c.datadir)"
    shown = subprocess.run(
        [
            *(sys.executable, "-c", code, "--datadir=given", "worker", "-l", "info"),
            *("-p", "81", "-b", "localhost"),
        ],
        cwd=tmp_path,
        env=environment(datadir="named", web_port=82, web_host="127.0.0.1")
        | {"FAUST_DATADIR": "other", "WEB_PORT": "83"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert shown.stdout == f"81 localhost {tmp_path / 'given' / 'tables'}\n", shown.stderr


# -- beside other packages


@pytest.mark.parametrize("file", ["agents.py", "tables/__init__.py", "web.py", "web/__init__.py"])
@pytest.mark.parametrize(
    "command", [("posstream.cli", "check"), ("faust", "-A", "posstream.app", "worker")]
)
def test_a_package_of_one_of_our_names_is_refused_in_a_sentence(
    tmp_path: Path, file: str, command: tuple[str, ...]
) -> None:
    foreign = tmp_path / file
    foreign.parent.mkdir(exist_ok=True)
    foreign.touch()
    refused = run(*command, cwd=tmp_path)
    assert refused.returncode != 0
    name = Path(file).parts[0].removesuffix(".py")
    said = f"error: the package {name} that Python finds is not posstream's, but {foreign}: "
    assert [line[: len(said)] for line in refused.stderr.splitlines()] == [said]


def test_beside_a_package_of_our_names_python_s_safe_path_finds_ours(tmp_path: Path) -> None:
    (tmp_path / "web.py").touch()
    shown = run("posstream.cli", "schema", cwd=tmp_path, safe=True)
    assert (shown.returncode, shown.stderr) == (0, "")
