"""The lines of the log: formats, what they are about, masks, and what is left out."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from posstream.logs import relay
from posstream.logs.lines import JsonLines, TextLines
from posstream.logs.masking import masked
from posstream.logs.noise import ONCE_A_MINUTE, Noise


def record(message: str, *args: object, name: str = "posstream.x", **fields: Any) -> Any:
    given = {"name": name, "levelno": logging.WARNING, "levelname": "WARNING", "created": 0.25}
    return logging.makeLogRecord({**given, "msg": message, "args": args, **fields})


def told(line: logging.LogRecord) -> dict[str, Any]:
    text = JsonLines("one:8000").format(line)
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def failed() -> Any:
    try:
        int("john@example.com")
    except ValueError as why:
        return type(why), why, why.__traceback__


def test_json_is_one_object_with_what_the_line_is_about() -> None:
    about = {"basket_id": "b1", "lookup_id": "l1", "trace_id": "0af7", "other": 1}
    assert told(record("%d calls", 3, name="agents.customer_lookup.agent", **about)) == {
        "time": "1970-01-01T00:00:00.250Z",
        "level": "WARNING",
        "logger": "agents.customer_lookup.agent",
        "message": "3 calls",
        "plugin": "customer_lookup",
        "lookup_id": "l1",
        "basket_id": "b1",
        "worker": "one:8000",
        "trace_id": "0af7",
    }


def test_a_callers_plugin_counts_more_than_the_loggers_name() -> None:
    assert told(record("x", plugin="baskets"))["plugin"] == "baskets"
    assert "plugin" not in told(record("x", name="agents"))


def test_text_has_time_level_logger_and_what_the_line_is_about() -> None:
    assert TextLines().format(record("a\nb", plugin="baskets")) == (
        "1970-01-01T00:00:00.250Z WARNING  posstream.x: a\\nb [plugin=baskets]"
    )


def test_a_traceback_is_a_field_of_json_and_stands_below_text_and_is_masked() -> None:
    line = record("failed", exc_info=failed())
    assert told(line)["message"] == "failed"
    text = TextLines().format(line)
    for trace in (told(line)["traceback"], text.partition("\n")[2]):
        assert trace.startswith("Traceback")
        assert "ValueError: invalid literal" in trace
        assert "john@example.com" not in trace


@pytest.mark.parametrize(
    "secret",
    [
        *("john@example.com", "john%40example.com", "o'brien@shop.example.co.uk"),
        *("+1234567890", "+49 170 123-4567", "%2B1234567890", "0049170123456"),
        *("4111111111111111", "4111 1111 1111 1111"),
    ],
)
def test_no_identifier_is_readable(secret: str) -> None:
    for sentence in (f"no answer for {secret}", f"GET /api/{secret}/ failed", f"key={secret!r}"):
        assert secret not in masked(sentence)


def test_no_password_of_a_url_is_readable() -> None:
    said = masked("cannot connect to postgresql+asyncpg://shop:hunter2@database/shop")
    assert said == "cannot connect to postgresql+asyncpg://******@database/shop"


@pytest.mark.parametrize(
    "said", ["query=%22%2B1234567890%22", "customer_+1234567890", "tel+1234567890"]
)
def test_no_phone_is_readable_whatever_stands_before_it(said: str) -> None:
    assert "1234567890" not in masked(said)


def test_a_password_with_an_at_sign_is_no_more_readable() -> None:
    assert masked("postgresql://shop:hunt@er2@db/x") == "postgresql://******@db/x"


def test_a_long_text_is_searched_once() -> None:
    """A name that could begin at each letter took seconds for what a header may have."""
    assert masked("a" * 200_000 + " b@example.com").startswith("a" * 200_000)


@pytest.mark.parametrize(
    "said",
    [
        "customer-identified/3/1764371021123",
        "at 2026-11-28T23:03:23.640+0000, offset +12",
        "0af7651916cd43dd8448eb211c80319c 01234567-89ab-4def-8123-456789abcdef",
        "kafka://127.0.0.1:19392 in 0.003 s",
    ],
)
def test_places_and_times_stay_readable(said: str) -> None:
    assert masked(said) == said


def test_a_wrong_line_of_a_library_is_said_once_a_minute_with_the_count() -> None:
    now = 0.0
    noise = Noise(lambda: now)

    def said(number: int) -> str | None:
        line = record("no connection to node %d", number, name="aiokafka.conn")
        return line.getMessage() if noise.filter(line) else None

    assert [said(number) for number in (1, 2, 3)] == ["no connection to node 1", None, None]
    now = 61
    assert said(4) == "no connection to node 4 (2 more like this were left out)"
    now = 122
    assert said(5) == "no connection to node 5"


def test_our_own_warnings_are_all_said_unless_they_ask_for_less() -> None:
    noise = Noise(lambda: 0.0)
    assert [noise.filter(record("breaker opened")) for _ in range(3)] == [True] * 3
    away = [noise.filter(record("away at %d", n, **ONCE_A_MINUTE)) for n in range(3)]
    assert away == [True, False, False]
    assert noise.filter(record("away at %d", 4, plugin="other", **ONCE_A_MINUTE))


@pytest.mark.parametrize(
    ("message", "passes"),
    [("[^--Runtime]: Starting...", False), ("opening partition 1 for", False), ("made x", True)],
)
def test_progress_of_services_is_left_out(message: str, passes: bool) -> None:  # noqa: FBT001
    line = record(message, levelno=logging.INFO)
    assert Noise().filter(line) is passes


@pytest.mark.parametrize(
    ("logger", "message", "passes"),
    [
        ("mode.timers", "Timer commit is overlapping (interval=0.2)", False),
        ("py.warnings", "app.py:212: AlreadyConfiguredWarning: Setting new value", False),
        ("py.warnings", "app.py:212: DeprecationWarning: gone soon", True),
    ],
)
def test_known_noise_is_left_out_by_its_name(
    logger: str,
    message: str,
    passes: bool,  # noqa: FBT001
) -> None:
    assert Noise().filter(record(message, name=logger)) is passes


@pytest.fixture
def child() -> Iterator[logging.Logger]:
    logger = logging.getLogger("agents.baskets.of_a_child")
    logger.setLevel(logging.INFO)
    yield logger
    logger.setLevel(logging.NOTSET)


def test_a_childs_record_becomes_the_same_line_of_its_worker(
    child: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    line = record("%s of %s", "1 %", "all", name=child.name, basket_id="b1", exc_info=failed())
    relay.write(json.loads(json.dumps(relay.carried(line))))
    assert told(caplog.records[0]) == told(line)


def test_a_childs_record_below_the_workers_level_is_left_out(
    child: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    line = record("x", name=child.name, levelno=logging.DEBUG)
    relay.write(relay.carried(line))
    assert caplog.records == []
