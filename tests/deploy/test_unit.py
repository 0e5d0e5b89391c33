"""The systemd unit, read by systemd's own tools."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from posstream.settings import Settings, unknown_settings

pytestmark = pytest.mark.deploy

UNIT = Path(__file__).parents[2] / "ops/systemd/posstream@.service"
#: Of 100: systemd's measure of what a service may do that it need not.
MOST_EXPOSED = 20


def analyze(*arguments: str) -> str:
    """What `systemd-analyze` says; it must exit with 0."""
    program = shutil.which("systemd-analyze")
    assert program is not None, "install Debian's package systemd"
    ended = subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    # An instance, whose program must exist.
    unit = tmp_path / "posstream@1.service"
    unit.write_text(UNIT.read_text().replace("/opt/posstream/bin/faust", "/bin/true"))
    assert analyze("verify", "--man=no", str(unit)) == ""


def test_the_worker_has_few_rights() -> None:
    analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager", str(UNIT))


def test_posstream_takes_the_environment_of_the_unit(tmp_path: Path) -> None:
    secrets = {"api-keys": "operator:0123456789abcdef", "database-url": "postgresql://db/shop"}
    credentials = re.findall(r"^LoadCredential=([^:]+):", UNIT.read_text(), flags=re.MULTILINE)
    for name in credentials:
        (tmp_path / name).write_text(secrets[name])
    lines = re.findall(r"^Environment=(\w+)=(.*)$", UNIT.read_text(), flags=re.MULTILINE)
    environ = {name: value.replace("%d", str(tmp_path)) for name, value in lines}
    assert unknown_settings(environ) == []
    taken = Settings.from_environment(environ)
    assert [key.secret for key in taken.access_keys] == ["0123456789abcdef"]
    assert taken.database_url == "postgresql://db/shop"
