"""What answers were, in five words."""

from agents.customer_lookup.lookup_split import LookupSplit, split


def test_each_answer_is_of_one_kind_and_a_remembered_unknown_is_a_hit() -> None:
    counted = split(
        {
            ("CACHE", None): 80,
            ("STALE_CACHE", None): 4,
            ("API", None): 9,
            ("CACHE", "NOT_FOUND"): 5,
            ("API", "NOT_FOUND"): 1,
            (None, "TIMEOUT"): 1,
        }
    )
    assert counted == LookupSplit(fresh=80, stale=4, api=9, unknown=6, failed=1, hits=85)
    assert counted.lookups == 100
    assert counted.hit_ratio == 0.85


def test_without_lookups_there_is_no_ratio() -> None:
    assert split({}).hit_ratio is None
