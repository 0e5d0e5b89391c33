"""Fraud detection: from event to alert, what judging costs, and two rules beside Quix Streams."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from agents.baskets import topics as baskets
from agents.fraud_detection import topics
from benchmarks import fraud_costs, till_load, till_runs
from benchmarks.figures import Bar, bars, cpu_us, figure, mebibytes, rates, ratios, table
from benchmarks.fraud_costs import FUNCTIONS, IN_WINDOW, Cost
from benchmarks.fraud_rules import RULES
from benchmarks.measures.baskets import SHARE, said_so
from benchmarks.observer import Seen, observing
from benchmarks.pacing import ONE_PAYMENT_IN, pace
from benchmarks.posstream_worker import POSSTREAM, Posstream
from benchmarks.progress import say
from benchmarks.runs import Process, Run, watch_count
from benchmarks.scans import write
from benchmarks.setting import Setting
from benchmarks.stage import Stage, stage
from posstream.settings import PARTITIONS
from tests.till_day import Message

#: Till events a second in a large shop.
CALM: Final = 200
_SECONDS: Final = 10
_WARM_SECONDS: Final = 4
_BEHIND_MS: Final = 1_000
#: p99 from event to alert: at `CALM`, and at half of what a worker can do.
_BARS_MS: Final = (100, 250)
#: Events whose cost is measured, by observations in the window: a scan of many takes long.
_EVENTS: Final = {10: 5_000, 1_000: 3_000, 100_000: 2_000}
_SCANNED: Final = {10: 5_000, 1_000: 1_000, 100_000: 30}
ENGINE, SCAN = "engine", "scan"
QUIX: Final = "quix_rules"


def measure(setting: Setting) -> dict[str, Any]:
    """Latency at two rates, costs by observations in the window, and two rules on all events.

    Returns:
        The capacity and the rates with what was seen at each; costs by function and window; runs
        with two rules by contestant.
    """
    events = round(setting.events * SHARE)
    costs = _costs(setting.rounds)
    with stage(setting.folder / "fraud", embedded=setting.embedded) as on:
        posstream = Posstream(on)
        till_runs.prepare(posstream, setting.customers)
        said = till_load.messages(events, setting.customers, tag=on.next_number())
        capacity = till_runs.run(posstream, said)
        said_so("capacity", "till events", capacity)
        loads = [CALM, round(capacity.window.rate / 2)]
        seen: list[list[Seen]] = [[] for _ in loads]
        for number in range(1, setting.rounds + 1):
            till_runs.rewind(posstream)
            with posstream.started():
                _alerts(on, CALM, _WARM_SECONDS)
                for at, rate in enumerate(loads):
                    seen[at].append(_alerts(on, rate, _SECONDS))
                    say(
                        f"round {number} of {setting.rounds}: alerts at {rate:,} events/s "
                        f"p50 {seen[at][-1].p50_ms:.1f} p99 {seen[at][-1].p99_ms:.1f} ms"
                    )
        till_runs.prepare(posstream, setting.customers, rules=RULES)
        runs: dict[str, list[Run]] = {POSSTREAM: [], QUIX: []}
        for number in range(1, setting.rounds + 1):
            # Without scans: nobody is to look up customers for Quix Streams.
            tag = on.next_number()
            said = till_load.messages(events, setting.customers, tag=tag, identified=0)
            found = till_runs.run(posstream, said)
            said_so(f"round {number} of {setting.rounds}", "two rules, posstream", found)
            runs[POSSTREAM].append(Run(found.window, found.rss_bytes))
            runs[QUIX].append(_quix(on, said))
            it = runs[QUIX][-1].window
            say(
                f"round {number} of {setting.rounds}: two rules, Quix Streams {it.rate:7,.0f}/s "
                f"{it.cpu_us:7.1f} us (broker {it.broker_cpu_us:5.1f})"
            )
        broker = on.broker
    return {
        "broker": broker,
        "events": events,
        "capacity": capacity.window.rate,
        "rates": loads,
        "seen": [[asdict(it) for it in made] for made in seen],
        "costs": costs,
        "runs": {name: [asdict(it) for it in made] for name, made in runs.items()},
    }


def _costs(rounds: int) -> dict[str, dict[str, dict[str, list[dict[str, Any]]]]]:
    """By function, observations in the window, and who judges."""
    measured: dict[str, tuple[Callable[[str, int, int], Cost], dict[int, int]]] = {
        ENGINE: (fraud_costs.of_engine, _EVENTS),
        SCAN: (fraud_costs.of_scan, _SCANNED),
    }
    found: dict[str, dict[str, dict[str, list[dict[str, Any]]]]] = {}
    for function in FUNCTIONS:
        for size in IN_WINDOW:
            by_who = found.setdefault(function, {}).setdefault(str(size), {})
            for number in range(1, rounds + 1):
                for who, (of, events) in measured.items():
                    cost = of(function, size, events[size])
                    by_who.setdefault(who, []).append(asdict(cost))
                    say(
                        f"round {number} of {rounds}: {function:15} {size:7,} in the window "
                        f"{who:7} {cost.cpu_us:9,.1f} us {cost.written_bytes:7,.0f} B"
                    )
    return found


def _alerts(on: Stage, rate: float, seconds: float) -> Seen:
    tag, count = f"{on.next_number():08x}", round(rate * seconds)
    wanted = -(-count // ONE_PAYMENT_IN)
    with observing(on, topics.FRAUD_ALERT_RAISED, tag=tag, count=wanted) as observer:
        pace(on, baskets.POS_EVENTS, rate=rate, count=count, tag=tag, payments=True)
        seen = observer.seen()
    if seen.count != wanted:
        raise RuntimeError(f"{wanted - seen.count} of {wanted} payments raised no alert")
    return seen


def _quix(on: Stage, said: list[Message]) -> Run:
    source, alerts = on.new_topic("by-till", PARTITIONS), on.new_topic("alerts-quix", PARTITIONS)
    events = list(till_load.by_till(said))
    write(on.servers, source, events)
    folder = on.new_folder(QUIX)
    module = f"benchmarks.contestants.{QUIX}"
    where = (on.servers, source, alerts, folder.name, str(folder / "state"))
    process = Process(QUIX, [sys.executable, "-m", module, *where], folder)
    with process.started(), on.committing(folder.name, source) as counted:
        window, rss = watch_count(process.watched, counted, len(events), beside=on.pids)
    on.delete(source, alerts)
    return Run(window, rss)


def section(found: dict[str, Any]) -> str:
    """Three tables: latency, costs, and two rules."""
    return (
        f"A worker judged {found['capacity']:,.0f} till events a second in this run, with the "
        "shipped rules.\n\n"
        + _latency(found)
        + "\n\n"
        + _cost_table(found["costs"])
        + "\n\n"
        + _peers(found["runs"])
    )


def _latency(found: dict[str, Any]) -> str:
    rows, wanted = [], []
    for rate, seen, asked in zip(found["rates"], found["seen"], _BARS_MS, strict=True):
        behind = sum(it["behind_ms"] > _BEHIND_MS for it in seen)
        p99 = [it["p99_ms"] for it in seen]
        rows.append(
            [
                f"{rate:,}/s",
                figure([it["p50_ms"] for it in seen], 1),
                figure(p99, 1),
                f"falls behind in {behind} of {len(seen)}" if behind else "",
            ]
        )
        what = f"p99 from event to alert at {rate:,} events/s"
        wanted.append(Bar(what, asked, p99, at_most=True, unit=" ms"))
    head = ["till events", "event to alert: p50, ms", "p99, ms", ""]
    return table(head, rows) + bars(wanted)


def _cost_table(costs: dict[str, Any]) -> str:
    rows = []
    for function, by_size in costs.items():
        for size, by_who in by_size.items():
            ours, scan = ([it["cpu_us"] for it in by_who[who]] for who in (ENGINE, SCAN))
            rows.append(
                [
                    function,
                    f"{int(size):,}",
                    figure(ours, 1),
                    figure([it["written_bytes"] for it in by_who[ENGINE]]),
                    figure(scan, 1),
                    figure(ratios(scan, ours), 2),
                ]
            )
    head = [
        "observations in the window",
        "posstream, us an event",
        "written, bytes",
        "scan of the key, us",
        "scan / posstream",
    ]
    return table(["", *head], rows)


def _peers(runs: dict[str, Any]) -> str:
    titles = {POSSTREAM: "posstream, with its baskets", QUIX: "Quix Streams, sliding windows"}
    rows = [
        [
            titles[name],
            figure(rates(made)),
            figure(ratios(rates(runs[POSSTREAM]), rates(made)), 2) if name != POSSTREAM else "",
            figure(cpu_us(made), 1),
            figure(mebibytes(made)),
        ]
        for name, made in runs.items()
    ]
    head = ["events/s", "posstream / this", "CPU, us an event", "memory, MiB"]
    return table(["two rules", *head], rows)
