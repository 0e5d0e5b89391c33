"""Pages of the console over a large database, beside a page that asks the database nothing."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

from benchmarks import page_rows
from benchmarks.databases import on_each_database
from benchmarks.figures import Bar, bars, figure, ratios, table
from benchmarks.http_load import ask
from benchmarks.page_rows import CUSTOMERS, LOOKUPS, basket_id, customer_id, phone, till
from benchmarks.posstream_worker import Posstream
from benchmarks.progress import say
from benchmarks.setting import Setting
from benchmarks.stage import Stage, stage
from benchmarks.windows import spread
from posstream.domain.times import from_ms, iso_utc
from posstream.settings import Settings

FLOOR: Final = "/health/live"
#: Milliseconds, of the slowest page's 99th of a hundred requests.
_BAR_MS: Final = 100
#: Somebody in the middle of the tables.
_SOMEBODY: Final = CUSTOMERS // 2
_LOOKUP: Final = LOOKUPS - 5_000
_NAME: Final = f"{_SOMEBODY:07}"


def pages(now_ms: int) -> dict[str, str]:
    """The path of each page by what tables call it.

    Args:
        now_ms: the time of the newest lookup.
    """
    at = from_ms(now_ms) - timedelta(days=5)
    day = {"from": iso_utc(at), "to": iso_utc(at + timedelta(days=1))}
    terminal, employee = till(_LOOKUP).values()

    def search(text: str) -> str:
        return f"/customers?{urlencode({'search': text})}"

    return {
        "health, the floor": FLOOR,
        "overview": "/",
        "lookups": "/lookups",
        "lookups, oldest first": "/lookups?sort=oldest",
        "lookups that failed": "/lookups?outcome=FAILED",
        "lookups from the stale cache": "/lookups?source=STALE_CACHE",
        "lookups of a reason": "/lookups?reason=TIMEOUT",
        "lookups of unknown customers": "/lookups?outcome=UNKNOWN",
        "lookups of a phone": f"/lookups?identifier={quote(phone(_SOMEBODY))}",
        "lookups of a customer": f"/lookups?customer={customer_id(_SOMEBODY)}",
        "lookups of a till": f"/lookups?terminal={terminal}",
        "lookups of an employee": f"/lookups?employee={employee}",
        "lookups of a version": f"/lookups?version={page_rows.VERSIONS // 2}",
        "lookups of a day": f"/lookups?{urlencode(day)}",
        "failed lookups of a till": f"/lookups?outcome=FAILED&terminal={terminal}",
        "attempts": "/attempts",
        "attempts that failed": "/attempts?status=FAILED",
        "attempts with HTTP 503": "/attempts?http=503",
        "attempts at an endpoint": "/attempts?endpoint=https://one.directory.test/",
        "attempts for a phone": f"/attempts?identifier={quote(phone(_SOMEBODY))}",
        "attempts of a day": f"/attempts?{urlencode(day)}",
        "baskets": "/till-baskets",
        "open baskets": "/till-baskets?status=OPEN",
        "baskets of a till": f"/till-baskets?terminal={terminal}",
        "one basket": f"/baskets/{basket_id(_LOOKUP)}",
        "alerts": "/fraud/alerts",
        "alerts of a severity": "/fraud/alerts?severity=HIGH",
        "alerts of an employee": f"/fraud/alerts?employee={employee}",
        "rules": "/fraud/rules",
        "customers": "/customers",
        "customers of a tier": "/customers?tier=GOLD",
        "one customer": f"/customers/{customer_id(_SOMEBODY)}",
        "search: a name of many": search("brandt"),
        "search: a whole name": search(f"huang {_NAME}"),
        "search: last name, first name": search(f"Huang {_NAME}, Yuki"),
        "search: a phone": search(f"(55) {_NAME[:3]}-{_NAME[3:]}"),
        "search: a part of an e-mail": search(f"{_NAME}@shop"),
        "search: an id": search(customer_id(_SOMEBODY)),
        "search: nobody": search("nobody at all"),
        "configuration": "/configuration",
        "dead letters": "/dead-letters",
    }


def measure(setting: Setting) -> dict[str, Any]:
    """Each page in turns, a request at a time, with nothing else to do for the worker.

    Returns:
        How many rows there are, and the milliseconds by database and page; databases that this
        machine lacks are left out.
    """
    with stage(setting.folder / "pages", embedded=setting.embedded) as on:
        served = on_each_database(partial(_served, on, setting))
        broker = on.broker
    return {"broker": broker, "customers": CUSTOMERS, "lookups": LOOKUPS, "served": served}


def _served(
    on: Stage, setting: Setting, database: str, url: str | None
) -> dict[str, list[dict[str, float]]]:
    posstream = Posstream(on, database_url=url)
    url = url or Settings(datadir=posstream.worker().datadir).database_url
    say(f"{database}: {CUSTOMERS:,} customers, {LOOKUPS:,} lookups")
    now_ms = asyncio.run(page_rows.fill(url))
    paths = pages(now_ms)
    made: dict[str, list[dict[str, float]]] = {title: [] for title in paths}
    with posstream.started() as (worker, *_):
        for number in range(1, setting.rounds + 1):
            for title, path in paths.items():
                it = ask(f"{worker.url}{path}", connections=1)
                made[title].append({"median_ms": it.median_ms, "p99_ms": it.p99_ms})
                say(
                    f"round {number} of {setting.rounds}: {database:10} {title:30} "
                    f"{it.median_ms:6.1f} ms p99 {it.p99_ms:6.1f} ms"
                )
    return made


def section(found: dict[str, Any]) -> str:
    """Milliseconds by page and database, beside the floor, and the bars."""
    served = found["served"]
    head = ["page", *(f"{it}{what}" for it in served for what in (", ms", ", p99", ", x floor"))]
    titles = next(iter(served.values()))
    rows = [
        [title, *(cell for made in served.values() for cell in _cells(made, title))]
        for title in titles
    ]
    return table(head, rows) + bars([_bar(database, made) for database, made in served.items()])


def _cells(made: Mapping[str, Sequence[Mapping[str, float]]], title: str) -> list[str]:
    floor, *_ = made.values()
    took = _of(made[title], "median_ms")
    return [
        figure(took, 1),
        figure(_of(made[title], "p99_ms"), 1),
        f"{spread(ratios(took, _of(floor, 'median_ms'))).middle:.0f}",
    ]


def _bar(database: str, made: Mapping[str, Sequence[Mapping[str, float]]]) -> Bar:
    p99 = {title: _of(it, "p99_ms") for title, it in made.items()}
    slowest = max(p99, key=lambda title: spread(p99[title]).middle)
    return Bar(
        f"p99 of the slowest page on {database}: {slowest}",
        _BAR_MS,
        p99[slowest],
        at_most=True,
        unit=" ms",
    )


def _of(made: Sequence[Mapping[str, float]], what: str) -> list[float]:
    return [it[what] for it in made]
