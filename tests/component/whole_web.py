"""A running web view with every plugin, some rows of each, and the list of its pages."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import hdrs
from aiohttp.web import Application

from agents.baskets import PLUGIN as BASKETS
from agents.baskets.basket_ports import BasketPorts
from agents.baskets.read_model.queries import TillBaskets
from agents.customer_lookup.topics import CUSTOMER_IDENTIFIED
from posstream.dead_letters.letter import (
    Address,
    Letter,
    NotReplayed,
    Prospect,
    Source,
    WholeLetter,
)
from tests.component import basket_copies
from tests.component.basket_copies import PURCHASE, copy_of, item, refunded
from tests.component.basket_web import project as project_baskets
from tests.component.fakes import NOW_MS
from tests.component.fraud_alerts import at as fraud_at
from tests.component.fraud_alerts import judged, observed, raised
from tests.component.fraud_web import FraudWeb, running_fraud_web
from tests.component.sql_databases import at, failed, found, logged, started
from tests.component.web_client import WebView

#: Pages with a name in their path: an address of each, and of whatever else it can show.
NAMED: Final[Mapping[str, tuple[str, ...]]] = {
    "/baskets/{basket_id}": ("/baskets/b1", "/baskets/basket_1", "/baskets/nobody"),
    "/customers/{customer_id}": ("/customers/CUST_001", "/customers/nobody"),
    "/customers/{customer_id}/forget": ("/customers/CUST_001/forget",),
    "/configuration/rollback": ("/configuration/rollback?to=0",),
    "/configuration/plugin/rules/rollback": ("/configuration/plugin/rules/rollback?to=0",),
    "/dead-letters/{topic}/{partition}/{offset}": ("/dead-letters/pos-events.dlq/0/1",),
    "/dead-letters/{topic}/{partition}/{offset}/replay": (
        "/dead-letters/pos-events.dlq/0/1/replay",
    ),
    "/dead-letters/{partition}/{offset}": ("/dead-letters/0/1?reveal=1", "/dead-letters/9/9"),
    "/dead-letters/{partition}/{offset}/replay": ("/dead-letters/0/1/replay",),
    "/topics/{topic}": ("/topics/customer-identified", "/topics/nothing"),
    "/topics/{topic}/messages": ("/topics/customer-identified/messages",),
    "/fraud/alerts/{alert_id}": ("/fraud/alerts/a1", "/fraud/alerts/nothing"),
    "/fraud/rules/edit/{rule_id}": ("/fraud/rules/edit/small_then_large",),
}
#: Those that are for programs.
_FOR_PROGRAMS: Final = ("/api/", "/health/", "/metrics", "/asyncapi.json", "/graphql")
_NO_PAGES: Final = (".csv", ".json", "/live", "/{name}")


def pages_of(application: Application) -> Iterator[str]:
    """An address of each page that a browser can open, as the router knows them."""
    for route in application.router.routes():
        path = "" if route.resource is None else route.resource.canonical
        if route.method != hdrs.METH_GET or path.startswith(_FOR_PROGRAMS):
            continue
        if path.endswith(_NO_PAGES):
            continue
        assert path in NAMED or "{" not in path, f"{path} needs an address in NAMED"
        yield from NAMED.get(path, (path,))


@asynccontextmanager
async def running_whole_web(folder: Path, **options: Any) -> AsyncIterator[FraudWeb]:
    """The options are those of `application_of`."""
    async with running_fraud_web(folder, beside=[BASKETS], two_plugins=True, **options) as whole:
        view = whole.view
        ports = BasketPorts(baskets=TillBaskets(view.readers), publisher=view.web.publisher)
        view.web.runs(BASKETS.name, ports)
        await view.project(
            started("basket_1"),
            logged("try1", lookup_id="lookup-a1", status="FAILED", http_status=503),
            logged("try2", lookup_id="lookup-a1", attempt=2, request_timestamp=at(11)),
            found("a1", fetched=11, attempts=2, duration_ms=2000),
            failed("a2", basket="basket_2"),
            *(
                failed(f"a{n}", basket="basket_2", reason=reason)
                for n, reason in enumerate(("CIRCUIT_OPEN", "INVALID_IDENTIFIER"), 3)
            ),
            started("basket_3"),
            found("l1", basket="b1"),
            found("l2", identifier="john@example.com", basket="b2"),
        )
        long = "Very long " * 20
        sold = item(11, "1.50", product_id="4006381333931" * 4, product_name=long)
        await project_baskets(
            view,
            copy_of("b1", *PURCHASE, refunded(20, "1")),
            copy_of("b2", basket_copies.started(10), sold),
        )
        seen = [observed(10, product_id="4006381333931" * 4, product_name=long)]
        await whole.project(
            raised("a1", hits=3, snoozed=True, rule_state="SHADOW", complete_from=fraud_at(5)),
            raised("a2", observations=seen, rule_name=long, basket_id="b" * 200),
            judged("CONFIRMED", note=long),
        )
        put_letters(view.web)
        yield whole


def put_letters(web: WebView) -> None:
    """Three dead letters: one was replayed, and one cannot be."""
    for n in range(3):
        address, source = Address(0, n), Source(CUSTOMER_IDENTIFIED, 1, n)
        letter = Letter(address, source, NOW_MS, "MISSING_FIELD", "basket_id is missing", 9, None)
        value = b'{"customer_identifier": "+1234567890"}'
        headers = (("posstream.dlq.reason", b"MISSING_FIELD"),)
        web.dead_letters.letters[address] = WholeLetter(letter, None, value, headers)
        web.dead_letters.prospects[address] = Prospect(address, source, before=source)
    web.dead_letters.prospects[Address(0, 2)] = NotReplayed(Address(0, 2), "its value was cut")
