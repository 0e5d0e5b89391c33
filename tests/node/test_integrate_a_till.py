"""The JavaScript of the how-to for tills, run as it stands there."""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.component.web_client import WebView, running_web
from tests.node.packages import installed, run

pytestmark = pytest.mark.node

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "integrate-a-till.md"
#: What the page installs, as of when it was written.
VERSIONS = {"graphql-ws": "6.4.2", "graphql": "16", "ws": "8"}


def block(language: str, start: str) -> str:
    """The one fenced block of this language that starts so."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (only,) = [text for text in found if text.startswith(start)]
    return str(only)


def answer_what_is_identified(view: WebView) -> None:
    """What a worker would do: the answer follows the event."""
    publish = view.publisher.publish

    async def publish_and_answer(record: Any) -> None:
        await publish(record)
        customer = {"customer_id": "CUST_001", "first_name": "John", "tier": "GOLD"}
        event = {"event_id": "answer", "basket_id": "basket_1", "source": "API"}
        view.answers.take(b"basket_1", orjson.dumps(event | {"customer": customer}))

    view.publisher.publish = publish_and_answer  # type: ignore[method-assign]


async def test_the_till_in_javascript_runs_as_it_is_written(tmp_path: Path) -> None:
    names = block("sh", "npm install ").split()[2:]
    folder = installed(tmp_path, *(f"{name}@{VERSIONS[name]}" for name in names))
    async with running_web() as view:
        answer_what_is_identified(view)
        here = f"{view.client.host}:{view.client.port}"
        script = block("js", "// till.mjs").replace("127.0.0.1:8000", here)
        printed = await run(folder, script)
    told, _, answer = printed.partition("\n")
    assert told == "{ identifyCustomer: { success: true } }"
    assert "eventId: 'answer'" in answer
    assert "customerId: 'CUST_001'" in answer
