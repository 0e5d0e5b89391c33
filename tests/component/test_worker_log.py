"""The worker of Faust's command, with our log."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from faust.cli.worker import worker as faust_command

from posstream.streaming.host import HostApp
from posstream.streaming.patches.worker import Worker, leave_out_banner


@pytest.fixture
def root_log() -> Iterator[logging.Logger]:
    """The root logger, as it is again afterwards."""
    root = logging.root
    kept, level = list(root.handlers), root.level
    yield root
    for made in set(root.handlers) - set(kept):
        made.close()
    root.handlers[:] = kept
    root.setLevel(level)


def test_its_log_has_our_format_and_nothing_is_printed_beside_it(
    tmp_path: Path, root_log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    app = HostApp("posstream", broker="kafka://127.0.0.1:1", datadir=tmp_path / "data")
    written = tmp_path / "log"
    worker = Worker(app, loglevel="info", logfile=str(written), redirect_stdouts=False)
    worker._setup_logging()
    worker.carp("-INT- -INT-")
    leave_out_banner()
    faust_command.on_worker_created(worker)
    logging.getLogger("posstream.some").info("it runs")
    assert worker.spinner is None
    assert written.read_text().endswith(" INFO     posstream.some: it runs\n")
    assert capsys.readouterr() == ("", "")
