"""The audits of npm `graphql-http`, whose authors wrote the specification of GraphQL over HTTP."""

from pathlib import Path

import orjson
import pytest

from tests.component.web_client import running_web
from tests.node.packages import installed, run

pytestmark = pytest.mark.node

AUDITS = """
import { auditServer } from "graphql-http";
const results = await auditServer({ url: process.argv[2] });
const told = results.map(({ id, name, status, reason }) => ({ id, name, status, reason }));
console.log(JSON.stringify(told));
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("npm"), "graphql-http@1.23.1", "graphql@16")


async def test_all_audits_of_graphql_http_pass(packages: Path) -> None:
    async with running_web() as web:
        url = str(web.client.make_url("/graphql/"))
        results = orjson.loads(await run(packages, AUDITS, url))
    failed = [f"{result['id']} {result['name']}" for result in results if result["status"] != "ok"]
    assert failed == []
    assert len(results) == 61
