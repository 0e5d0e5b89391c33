import pytest

pytest.importorskip("confluent_kafka", reason="the extra bench is not installed: make test-bench")

from benchmarks.measures import idle


def test_each_process_is_told_and_worker_broker_and_start_are_held_to_their_bars() -> None:
    rounds = [
        {"ready": 2.5, "percent": {"worker": 1.25, "embedded broker": 4.0, "baskets": 0.5}},
        {"ready": 4.5, "percent": {"worker": 1.75, "embedded broker": 3.5, "baskets": 0.5}},
    ]
    section = idle.section({"rounds": rounds})
    assert "| worker | 1.5 (1.2 to 1.8) |" in section
    assert section.count("% of a core | met |") == 1
    assert section.count("% of a core | **missed** |") == 1
    assert "| ready after | at most 4 s | 3.5 (2.5 to 4.5) s | met |" in section
