"""`/metrics` over HTTP, and the reference page held to what is declared."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest, parser
from prometheus_client.openmetrics import parser as openmetrics

from posstream.metrics import Metric, Metrics
from posstream.plugins.discovery import find_plugins
from posstream.settings import Settings
from tests.component.web_client import WebView, running_web
from tests.declared_metrics import declared

KEY = "a-key-of-some-length"
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
#: People name the rules, so their counts cannot be there before.
BY_RULE = {"posstream_fraud_alerts_total", "posstream_fraud_rule_seconds_total"}
#: Read from the system, in a whole worker.
OF_PROCESSES = {"posstream_process_cpu_seconds_total"}
#: None of them can carry an identifier.
LABELS = {
    *("source", "reason", "status", "outcome", "why", "field", "plugin", "rule", "told", "type"),
    *("topic", "partition", "state", "process", "version", "python", "faust", "aiokafka"),
}


@pytest.fixture
async def web() -> AsyncIterator[WebView]:
    async with running_web() as view:
        yield view


def counts(text: str) -> dict[str, float]:
    """Each counter that is shown, with one of its values."""
    return {
        sample.name: sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
        if family.type == "counter" and sample.name.endswith("_total")
    }


async def test_every_count_is_there_before_the_first_event(web: WebView) -> None:
    of_web = counts(await (await web.client.get("/metrics")).text())
    shown = of_web | counts(generate_latest(Metrics(find_plugins()).registry).decode())
    counters = {name for name, (kind, _) in declared().items() if kind == "counter"}
    assert counters - shown.keys() == BY_RULE | OF_PROCESSES
    assert set(shown.values()) == {0.0}


def test_a_known_value_is_for_every_label() -> None:
    with pytest.raises(ValueError, match="the metric sales does not know a value for each label"):
        Metric("counter", "sales", "Sales.", ("till", "kind"), (("one",),))


async def test_a_scraper_reads_what_was_counted(web: WebView) -> None:
    web.lookup_metrics.answers.labels("CACHE", "NONE").inc(3)
    web.lookup_metrics.breaker_state.set(2)
    web.lookup_metrics.answer_seconds.observe(0.3)
    response = await web.client.get("/metrics")
    families = parser.text_string_to_metric_families(await response.text())
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }
    assert response.status == 200
    answers = ("posstream_answers_total", ("reason", "NONE"), ("source", "CACHE"))
    assert samples[answers] == 3
    assert samples[("posstream_breaker_state",)] == 2
    assert samples[("posstream_answer_seconds_bucket", ("le", "0.2"))] == 0
    assert samples[("posstream_answer_seconds_bucket", ("le", "0.5"))] == 1


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "text/plain; version=0.0.4"),
        ("text/plain", "text/plain; version=0.0.4"),
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text; version=one", "text/plain; version=0.0.4"),
    ],
)
async def test_the_format_is_the_one_that_is_asked_for(
    web: WebView, accept: str | None, content_type: str
) -> None:
    headers = {} if accept is None else {"Accept": accept}
    response = await web.client.get("/metrics", headers=headers)
    text = await response.text()
    read = openmetrics if "openmetrics" in content_type else parser
    names = {family.name for family in read.text_string_to_metric_families(text)}
    assert response.headers["Content-Type"].startswith(content_type)
    assert "posstream_commit_age_seconds" in names


async def test_the_key_is_asked_for_where_there_is_one() -> None:
    async with running_web(Settings(api_key=KEY)) as locked:
        refused = await locked.client.get("/metrics")
        assert refused.status == 401
        assert "posstream_" not in await refused.text()
        headers = {"Authorization": f"Bearer {KEY}"}
        allowed = await locked.client.get("/metrics", headers=headers)
        assert allowed.status == 200


async def test_the_front_page_names_it(web: WebView) -> None:
    assert "/metrics" in await (await web.client.get("/")).text()


def test_no_label_can_carry_an_identifier() -> None:
    assert set().union(*(labels for _, labels in declared().values())) == LABELS


def test_the_reference_has_every_metric_with_its_kind_and_labels_and_no_other() -> None:
    rows = {}
    for line in PAGE.read_text().splitlines():
        if line.startswith("| `"):
            name, kind, labels, *sentences = (cell.strip() for cell in line.strip("|").split("|"))
            rows[name.strip("`")] = (kind, set(re.findall(r"`([a-z]+)`", labels)))
            assert [bool(sentence) for sentence in sentences] == [True, True], name
    assert rows == declared()
