"""Metrics of plugins in another process, shown as if they were counted here."""

from typing import Any

import pytest
from prometheus_client import exposition
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics import parser

from posstream.domain.errors import StartRefused
from posstream.metrics import Metric, Metrics
from posstream.metrics_relay import Summed, counted, shown
from posstream.plugin import Built, Plugin

DECLARED = (
    Metric("counter", "sales", "Sales.", ("till",)),
    Metric("gauge", "open_tills", "Tills."),
    Metric("histogram", "sale_seconds", "How long one takes."),
)


def plugin(name: str = "sales", metrics: tuple[Metric, ...] = DECLARED) -> Plugin:
    return Plugin(name=name, description="Sells.", build=lambda _: Built(), metrics=metrics)


def lines(metrics: Metrics) -> list[str]:
    """What Prometheus reads of the plugin, without times."""
    text = exposition.generate_latest(metrics.registry).decode()
    return [
        it for it in text.splitlines() if "sale" in it and "_created" not in it and it[0] != "#"
    ]


def test_what_the_other_process_counted_is_shown_in_both_formats() -> None:
    there, here = Metrics([plugin()]), Metrics(beside=[plugin()])
    its = there.of(plugin())
    its["sales"].labels('a "quoted"\nname').inc(3)
    its["open_tills"].set(7)
    its["sale_seconds"].observe(0.3)
    here.relayed["sales"].take(shown(its))
    assert lines(here) == lines(there) != lines(Metrics(beside=[plugin()]))
    text = openmetrics.generate_latest(here.registry).decode()
    samples = {
        (it.name, *it.labels.values()): it.value
        for family in parser.text_string_to_metric_families(text)
        for it in family.samples
    }
    assert samples["posstream_sales_total", 'a "quoted"\nname'] == 3
    assert samples[("posstream_open_tills",)] == 7


def test_before_it_tells_anything_its_metrics_are_there() -> None:
    assert lines(Metrics(beside=[plugin()])) == lines(Metrics([plugin()])) != []


@pytest.mark.parametrize("other", [{"beside": [plugin()]}, {"plugins": [plugin()]}])
def test_a_name_that_another_one_has_is_refused(other: dict[str, Any]) -> None:
    taken = plugin("taker", (Metric("gauge", "plugin_up", "Mine."),))
    with pytest.raises(StartRefused, match="posstream itself and by taker"):
        Metrics(**other | {"beside": [taken]})


def test_counts_of_both_processes_are_added_also_after_a_restart_of_the_other() -> None:
    here = Metrics().dead_letters
    here.labels("UNKNOWN").inc()
    summed = Summed(here)
    first, second = Metrics().dead_letters, Metrics().dead_letters
    first.labels("UNKNOWN").inc(4)
    summed.take(counted(first))
    summed.take(counted(first))
    first.labels("UNKNOWN").inc()
    first.labels("TOO_LARGE").inc()
    summed.take(counted(first))
    summed.restart()
    second.labels("UNKNOWN").inc(2)
    summed.take(counted(second))
    found = [(labels, count) for labels, count in counted(here) if count]
    assert sorted(found) == [(["TOO_LARGE"], 1), (["UNKNOWN"], 8)]


def test_a_counter_without_labels_is_added_too() -> None:
    here, there = Metrics().dead_letters_refused, Metrics().dead_letters_refused
    there.inc(2)
    Summed(here).take(counted(there))
    assert counted(here) == [([], 2)]
