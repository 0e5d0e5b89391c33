from pathlib import Path

from benchmarks import results
from benchmarks.setting import Setting

SETTING = Setting(
    rounds=3,
    events=10,
    customers=5,
    most_keys=5,
    contestants=(),
    embedded=False,
    folder=Path(),
)


def test_a_measure_takes_the_place_of_its_last_run(tmp_path: Path) -> None:
    path = tmp_path / "data" / "bench.json"
    results.keep(path, "hits", {"n": 1}, setting=SETTING, seconds=1.0)
    results.keep(path, "mix", {"n": 2}, setting=SETTING, seconds=1.0)
    results.keep(path, "hits", {"n": 3}, setting=SETTING, seconds=1.0)
    assert {name: it.found for name, it in results.kept(path).items()} == {
        "hits": {"n": 3},
        "mix": {"n": 2},
    }


def test_each_measure_has_its_own_conditions(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    results.keep(path, "hits", {}, setting=SETTING, seconds=1.0)
    assert {"machine", "commit", "at", "aiokafka"} <= results.kept(path)["hits"].conditions.keys()


def test_there_may_be_no_results(tmp_path: Path) -> None:
    assert results.kept(tmp_path / "none.json") == {}
