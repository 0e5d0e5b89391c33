"""`python -m benchmarks [MEASURE …]`: posstream against its peers and the limit of its platform.

Measures on an Apache Kafka of its own (without Java on the embedded broker), or on one that is
given and that nobody uses: topics are made, emptied and deleted there. Keeps what it found in
.data/bench.json and writes docs/reference/benchmarks.md from it; `python -m benchmarks report` only
writes. Nothing here asserts a time.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import connecting, results
from benchmarks.measures import MEASURES
from benchmarks.progress import say
from benchmarks.setting import Setting
from posstream.domain.errors import InvalidSettings


def main(arguments: Sequence[str]) -> int:
    """Measure, keep, write."""
    if arguments[:1] == ["report"]:
        return report(arguments[1:])
    options = _parser().parse_args(arguments)
    wanted = options.only or list(MEASURES)
    unknown = sorted(set(wanted) - MEASURES.keys())
    if unknown:
        print(f"no measure {', '.join(unknown)}: there are {', '.join(MEASURES)}", file=sys.stderr)
        return 2
    try:
        connecting.choose(options.broker)
    except InvalidSettings as why:
        print("\n".join(why.errors), file=sys.stderr)
        return 2
    seconds = {}
    with tempfile.TemporaryDirectory(prefix="posstream-bench-") as folder:
        setting = Setting(
            rounds=options.rounds,
            events=options.events,
            customers=options.customers,
            most_keys=options.most_keys,
            contestants=tuple(options.contestants),
            embedded=options.embedded,
            folder=Path(folder),
        )
        for name in wanted:
            say(f"{name}: {(MEASURES[name].__doc__ or '').splitlines()[0]}")
            began = time.monotonic()
            found = MEASURES[name].measure(setting)
            seconds[name] = time.monotonic() - began
            results.keep(options.results, name, found, setting=setting, seconds=seconds[name])
    for name, took in seconds.items():
        say(f"{name:12} took {took:5.0f} s")
    return report([str(options.results)]) if options.results == results.FILE else 0


def report(arguments: Sequence[str]) -> int:
    """Write the page from what was kept."""
    from benchmarks import page

    path = Path(arguments[0]) if arguments else results.FILE
    page.write(results.kept(path))
    return 0


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "only", nargs="?", type=_names, help=f"some of {','.join(MEASURES)}; all if none is named"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=300_000, help="of the fastest contestants")
    parser.add_argument("--customers", type=int, default=10_000, help="who are in the caches")
    parser.add_argument("--most-keys", type=int, default=1_000_000, help="of `growth`")
    parser.add_argument(
        "--contestants", type=_names, default=[], help="some of them, for a comparison by hand"
    )
    parser.add_argument("--embedded", action="store_true", help="not Kafka, even if there is Java")
    parser.add_argument(
        "--broker",
        metavar="kafka://HOST:PORT",
        help="a Kafka without topics of posstream; POSSTREAM_BROKER_... secure the way to it",
    )
    parser.add_argument("--results", type=Path, default=results.FILE)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
