from benchmarks.figures import Bar, bars, figure, ratios, table


def test_a_figure_has_its_spread() -> None:
    assert figure([1_000, 3_000, 2_000]) == "2,000 (1,000 to 3,000)"


def test_one_round_has_no_spread() -> None:
    assert figure([1.25], 1) == "1.2"


def test_ratios_are_of_the_same_round() -> None:
    assert ratios([10, 30], [5, 10]) == [2, 3]


def test_a_bar_is_met_by_the_median() -> None:
    assert [Bar("x", 2, it).is_met for it in ([1, 2, 3], [1, 1, 3])] == [True, False]


def test_a_bar_can_be_a_limit() -> None:
    assert Bar("x", 2, [1, 2, 9], at_most=True).is_met


def test_a_missed_bar_is_told_as_one_that_is_met() -> None:
    text = bars([Bar("one", 2, [1.0]), Bar("other", 10, [4.0], at_most=True, unit=" ms")])
    assert text.strip().splitlines()[2:] == [
        "| one | at least 2 | 1.00 | **missed** |",
        "| other | at most 10 ms | 4.0 ms | met |",
    ]


def test_a_figure_that_says_nothing_is_no_outcome() -> None:
    assert "| 1.00 | nobody was there |" in bars([Bar("one", 2, [1.0], void="nobody was there")])


def test_a_table_is_markdown() -> None:
    assert table(["", "n"], [["a", "1"]]) == "|  | n |\n| --- | --: |\n| a | 1 |"
