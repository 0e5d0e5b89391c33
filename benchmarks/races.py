"""One run of anybody over a load that is there when it starts."""

from agents.customer_lookup import topics
from benchmarks import scans
from benchmarks.contestants import Contestant
from benchmarks.loads import Load
from benchmarks.posstream_worker import Posstream, paused, watched
from benchmarks.progress import say
from benchmarks.runs import Peer, Run, wait, watch
from benchmarks.stage import Stage
from benchmarks.verdict import judge
from posstream.settings import PARTITIONS


def told(text: str, title: str, run: Run, *, beside: str = "broker") -> None:
    """Say what one run gave; `beside` is whose CPU time is told apart."""
    it = run.window
    again = f", {run.duplicates} twice" if run.duplicates else ""
    say(
        f"{text}: {title:40} {it.rate:9,.0f}/s {it.cpu_us:7.1f} us "
        f"({beside} {it.broker_cpu_us:5.1f}) {run.rss_bytes / 2**20:5.0f} MiB{again}"
    )


def preload(on: Stage, load: Load, events: int) -> str:
    """Write events, unless they are there; the name of their topic, which others share."""
    name = f"{topics.CUSTOMER_IDENTIFIED}-{events}-{load.one_cold_in}"
    if name not in on.admin.list_topics(timeout=30).topics:
        on.create(name, PARTITIONS)
        scans.write(on.servers, name, load.events(events, tag=0))
    return name


def run_peer(on: Stage, contestant: Contestant, load: Load, events: int, *, api: str = "") -> Run:
    """One run of a peer: a new group, and a new topic of answers, which is dropped afterwards."""
    if contestant.fills_by_events:
        return _run_filled(on, contestant, load, events, api)
    answers = on.new_topic(f"answers-{contestant.name}", PARTITIONS)
    peer = Peer(
        on,
        contestant,
        source=preload(on, load, events),
        answers=answers,
        customers=load.customers,
        api=api,
    )
    since = on.ends(answers)
    with peer.started():
        window, rss = watch(on, peer.watched, since, events)
    verdict = judge(on, since, tag=0, events=events, customer_of=load.customer_of(0))
    on.delete(answers)
    return Run(window, rss, verdict.duplicates)


def _run_filled(on: Stage, contestant: Contestant, load: Load, events: int, api: str) -> Run:
    """The same for somebody whose state is made of events: they come first, and do not count.

    It stands still while the others are written, so that it finds all of them at once.
    """
    source = on.new_topic(topics.CUSTOMER_IDENTIFIED, PARTITIONS)
    answers = on.new_topic(f"answers-{contestant.name}", PARTITIONS)
    scans.write(on.servers, source, scans.warm_up(load.customers))
    peer = Peer(on, contestant, source=source, answers=answers, customers=0, api=api)
    since = on.ends(answers)
    with peer.started():
        wait(on, peer.watched, since, load.customers)
        since = on.ends(answers)
        with peer.paused():
            scans.write(on.servers, source, load.events(events, tag=0))
        window, rss = watch(on, peer.watched, since, events)
    verdict = judge(on, since, tag=0, events=events, customer_of=load.customer_of(0))
    on.delete(source, answers)
    return Run(window, rss, verdict.duplicates)


def run_posstream(
    posstream: Posstream, load: Load, events: int, *, workers: int = 1, filled: bool = False
) -> Run:
    """One run of posstream: what earlier ones left is dropped, and its events are there.

    Args:
        posstream: not running yet.
        load: what the events ask for.
        events: how many there are.
        workers: how many answer them.
        filled: whether the workers have their caches in memory before the events come.
    """
    on = posstream.stage
    tag = on.next_number()
    posstream.rewind()
    since = posstream.ends()

    def write() -> None:
        scans.write(on.servers, topics.CUSTOMER_IDENTIFIED, load.events(events, tag))

    if not filled:
        write()
    with posstream.started(workers, ready=filled, filled=filled) as running:
        if filled:
            with paused(running):
                write()
        window, rss = watch(on, watched(running), since, events)
    verdict = judge(on, since, tag=tag, events=events, customer_of=load.customer_of(tag))
    return Run(window, rss, verdict.duplicates)
