"""`/asyncapi.json` as the official parser of AsyncAPI reads it, examples and bindings included."""

from pathlib import Path

import orjson
import pytest

from tests.component.web_client import running_web
from tests.node.packages import installed, run

pytestmark = pytest.mark.node

SCRIPT = """
import { Parser } from "@asyncapi/parser";
const [, , url] = process.argv;
const source = await (await fetch(url)).text();
const { document, diagnostics } = await new Parser().parse(source);
console.log(JSON.stringify({
  // Without the advice to use a later version.
  faults: diagnostics.filter((found) => found.code !== "asyncapi-latest-version"),
  topics: document?.allChannels().all().map((channel) => channel.address()) ?? [],
}));
"""


async def test_the_document_has_no_fault(tmp_path: Path) -> None:
    folder = installed(tmp_path, "@asyncapi/parser@3.6.3")
    async with running_web() as view:
        url = f"http://{view.client.host}:{view.client.port}/asyncapi.json"
        read = orjson.loads(await run(folder, SCRIPT, url))
    assert read["faults"] == []
    assert "customer-identified" in read["topics"]
