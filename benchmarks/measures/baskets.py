"""Till events: how many one worker counts, groups and judges, and lookups that go on beside."""

from dataclasses import asdict
from typing import Any, Final

from benchmarks import till_load, till_runs
from benchmarks.figures import Bar, bars, figure, ratios, table, windows
from benchmarks.loads import Load
from benchmarks.posstream_worker import Posstream
from benchmarks.progress import say
from benchmarks.races import run_posstream, told
from benchmarks.setting import Setting
from benchmarks.stage import stage
from benchmarks.till_runs import Lookups, TillRun

#: Of the events of a run of hits: a till event takes many times as long.
SHARE: Final = 0.15
#: Lookups a second beside, and for which part of the time that the till events take alone.
LOOKUPS: Final = 500
_PART: Final = 1.0
_LEAST_SECONDS: Final = 5
#: Hits that find a backlog of till events.
_HITS_SHARE: Final = 0.3
_BAR: Final = 5_000
ALONE, BESIDE = "alone", "beside"


def measure(setting: Setting) -> dict[str, Any]:
    """Till events and lookups, each alone and both at once, in turns.

    Returns:
        Runs over till events, what was seen of paced lookups, and the rates of hits that were
        there before: each `alone` and `beside`.
    """
    events = round(setting.events * SHARE)
    runs: dict[str, list[TillRun]] = {ALONE: [], BESIDE: []}
    paced: dict[str, list[Any]] = {ALONE: [], BESIDE: []}
    hits: dict[str, list[float]] = {ALONE: [], BESIDE: []}
    with stage(setting.folder / "baskets", embedded=setting.embedded) as on:
        posstream = Posstream(on)
        till_runs.prepare(posstream, setting.customers)
        for number in range(1, setting.rounds + 1):
            text = f"round {number} of {setting.rounds}"
            said = till_load.messages(events, setting.customers, tag=on.next_number())
            runs[ALONE].append(till_runs.run(posstream, said))
            said_so(text, "till events alone", runs[ALONE][-1])
            seconds = max(_LEAST_SECONDS, runs[ALONE][-1].seconds * _PART)
            lookups = Lookups(LOOKUPS, seconds, setting.customers)
            with posstream.started():
                seen, _ = till_runs.paced(on, Lookups(LOOKUPS, _LEAST_SECONDS, setting.customers))
            paced[ALONE].append(asdict(seen))
            say(f"{text}: lookups alone, p50 {seen.p50_ms:.1f} p99 {seen.p99_ms:.1f} ms")
            said = till_load.messages(events, setting.customers, tag=on.next_number())
            both = till_runs.run(posstream, said, beside=lookups)
            assert both.seen is not None
            runs[BESIDE].append(both)
            paced[BESIDE].append(asdict(both.seen))
            said_so(text, "till events with lookups", both)
            say(f"{text}: lookups beside, p50 {both.seen.p50_ms:.1f} p99 {both.seen.p99_ms:.1f} ms")
            for how in (ALONE, BESIDE):
                till_runs.rewind(posstream)
                if how == BESIDE:  # without scans: answers are counted
                    tag = on.next_number()
                    till_load.write(
                        on, till_load.messages(events, setting.customers, tag=tag, identified=0)
                    )
                count = round(setting.events * _HITS_SHARE)
                hit = run_posstream(posstream, Load(setting.customers), count)
                told(text, f"hits, till events {'waiting' if how == BESIDE else 'none'}", hit)
                hits[how].append(hit.window.rate)
        broker = on.broker
    return {
        "broker": broker,
        "events": events,
        "lookups": LOOKUPS,
        "runs": {how: [asdict(it) for it in made] for how, made in runs.items()},
        "paced": paced,
        "hits": hits,
    }


def said_so(text: str, title: str, run: TillRun) -> None:
    """Say what one run gave."""
    it, counts = run.window, run.counts
    slow = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in run.behind_seconds.items())
    say(
        f"{text}: {title:26} {it.rate:7,.0f}/s {it.cpu_us:7.1f} us (broker {it.broker_cpu_us:5.1f})"
        f" {run.rss_bytes / 2**20:5.0f} MiB, {counts}, {run.alerts} alerts, behind: {slow}"
    )


def section(found: dict[str, Any]) -> str:
    """Both, each alone and beside the other one."""
    runs, paced, hits = found["runs"], found["paced"], found["hits"]
    names = {
        ALONE: "alone",
        BESIDE: f"beside {found['lookups']} lookups/s",
    }
    rows = [
        [
            names[how],
            figure([it.rate for it in windows(made)]),
            figure([it.cpu_us for it in windows(made)], 1),
            figure([it.broker_cpu_us for it in windows(made)], 1),
            figure([it["rss_bytes"] / 2**20 for it in made]),
            figure([it["behind_seconds"]["grouped"] for it in made], 1),
            figure([it["behind_seconds"]["judged"] for it in made], 1),
        ]
        for how, made in runs.items()
    ]
    head = [
        "till events",
        "events/s",
        "CPU, us an event",
        "broker's, us",
        "memory, MiB",
        "grouped after the last was counted, s",
        "judged, s",
    ]
    first = runs[ALONE][0]
    counts = first["counts"]
    return (
        f"{found['events']:,} messages of tills; with the answers of their scans, in the first run "
        f"{counts['counted']:,} events were counted, {counts['grouped']:,} told to fraud detection "
        f"(those behind a late one once more) and {counts['judged']:,} observations judged; they "
        f"raised {first['alerts']:,} alerts.\n\n"
        + table(head, rows)
        + "\n\n"
        + _lookups(paced, hits)
        + bars(
            [
                Bar(
                    "till events a second, beside lookups",
                    _BAR,
                    [it.rate for it in windows(runs[BESIDE])],
                )
            ]
        )
    )


def _lookups(paced: dict[str, Any], hits: dict[str, list[float]]) -> str:
    def of(what: str) -> dict[str, list[float]]:
        return {how: [it[what] for it in seen] for how, seen in paced.items()}

    rows = []
    for title, by_how, places in (
        ("p50, ms", of("p50_ms"), 1),
        ("p99, ms", of("p99_ms"), 1),
        ("hits a second, all at once", hits, 0),
    ):
        ratio = ratios(by_how[BESIDE], by_how[ALONE])
        columns = [figure(by_how[how], places) for how in (ALONE, BESIDE)]
        rows.append([title, *columns, figure(ratio, 2)])
    return table(["lookups", "alone", "beside till events", "ratio"], rows)
