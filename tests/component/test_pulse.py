"""A process that was frozen ends before anything leaves it; a busy one does not."""

import os
import signal
import subprocess
import sys
import time

import pytest

from posstream.streaming.pulse import Pulse

FREEZING = """
import sys, time
from posstream.streaming.pulse import Pulse

pulse = Pulse()
pulse.watch(2)
print("beating", flush=True)
busy_until = time.monotonic() + 4
while time.monotonic() < busy_until:  # as a loop that never yields
    pulse.check()
print("still here", flush=True)
while True:
    pulse.check()
    time.sleep(0.01)
"""


@pytest.mark.parametrize(("silent", "ends"), [(2.0, 0), (2.1, 1)])
def test_a_silence_beyond_the_limit_is_the_end(silent: float, ends: int) -> None:
    now, ended = [100.0], []
    pulse = Pulse(now=lambda: now[0], end=lambda: ended.append(True))
    pulse._limit_seconds = 2
    now[0] += silent
    pulse.check()
    assert len(ended) == ends


def test_nothing_is_watched_before_it_is_told_to() -> None:
    now, ended = [0.0], []
    pulse = Pulse(now=lambda: now[0], end=lambda: ended.append(True))
    now[0] = 1e6
    pulse.check()
    assert not ended


def test_a_frozen_process_ends_when_it_thaws_and_a_busy_one_goes_on() -> None:
    with subprocess.Popen([sys.executable, "-c", FREEZING], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"beating\n"
        assert process.stdout.readline() == b"still here\n", "busy for twice the limit"
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(3)
        assert process.poll() is None
        os.kill(process.pid, signal.SIGCONT)
        assert process.wait(10) == 1
