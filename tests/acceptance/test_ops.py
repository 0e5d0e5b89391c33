"""`ops/`, held to the metrics and runbooks that exist. `make ops` plays the alerts."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ops.dashboard import text
from posstream.plugins.discovery import find_plugins
from tests.acceptance.test_docs import ROOT, RUNBOOKS
from tests.declared_metrics import declared

RULES = ROOT / "ops" / "prometheus" / "rules.yml"
DASHBOARD = ROOT / "ops" / "grafana" / "posstream.json"
#: Prometheus' own.
PROMETHEUS_LABELS = {"job", "instance", "alertname"}
#: They say no more than others that the dashboard shows.
NOT_SHOWN = {
    "posstream_plugin_up",
    "posstream_configuration_version",
    "posstream_process_virtual_memory_bytes",
}
METRICS = declared()


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def unknown(expression: str) -> list[str]:
    """The metrics and labels in PromQL that no worker exports."""
    found, allowed = [], set(PROMETHEUS_LABELS)
    for name, matchers in re.findall(r"\b(posstream_\w+)(?:\{(.*?)\})?", expression):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        kind, labels = METRICS.get(base if base in METRICS else name, ("", set()))
        if not kind or (kind == "histogram") != (base != name):
            found.append(name)
        used = set(re.findall(r"(\w+)(?:=|!)", matchers))
        found += [f"{name}{{{label}}}" for label in used - labels - PROMETHEUS_LABELS]
        allowed |= labels | ({"le"} if kind == "histogram" else set())
    grouped = re.findall(r"\b(?:by|on) ?\(([\w, ]*)\)", expression)
    return found + [it for by in grouped for it in re.findall(r"\w+", by) if it not in allowed]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("sum by (le) (rate(posstream_answer_seconds_bucket[1m]))", []),
        ('posstream_plugin_state{state="OFF", instance="one"} == 1', []),
        ("posstream_nothing > 0", ["posstream_nothing"]),
        ("posstream_answer_seconds > 0", ["posstream_answer_seconds"]),
        ("posstream_brokers_count", ["posstream_brokers_count"]),
        ('posstream_brokers{state="OFF"}', ["posstream_brokers{state}"]),
        ("sum by (plugin) (posstream_brokers)", ["plugin"]),
    ],
)
def test_what_no_worker_exports_is_found(expression: str, found: list[str]) -> None:
    assert unknown(expression) == found


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_asks_for_metrics_and_labels_that_workers_export(alert: dict[str, Any]) -> None:
    assert unknown(alert["expr"]) == []
    shown = re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"])
    labels = [
        METRICS[name][1] for name in re.findall(r"posstream_\w+", alert["expr"]) if name in METRICS
    ]
    assert set(shown) <= PROMETHEUS_LABELS.union(*labels)


def test_each_alert_has_a_severity_and_a_runbook_and_each_runbook_its_alert() -> None:
    listed = re.findall(
        r"^\| \[(\w+)\]\((\S+)\) \| (\w+) \|", (RUNBOOKS / "index.md").read_text(), re.MULTILINE
    )
    links = [
        (it["alert"], it["annotations"]["runbook_url"], it["labels"]["severity"]) for it in alerts()
    ]
    assert links == [(name, f"docs/runbooks/{page}", severity) for name, page, severity in listed]
    assert {severity for *_, severity in links} == {"critical", "warning"}
    titles = {page.name: page.read_text().splitlines()[0] for page in RUNBOOKS.glob("*.md")}
    del titles["index.md"]
    assert titles == {page: f"# {name}" for name, page, _ in listed}


def test_each_runbook_says_the_same_four_things() -> None:
    expected = ["What tills notice", "What to look at", "What to do", "When it is over"]
    for page in RUNBOOKS.glob("*.md"):
        if page.name != "index.md":
            assert re.findall(r"^## (.*)", page.read_text(), re.MULTILINE) == expected, page.name


def test_each_metric_of_the_runbooks_is_exported() -> None:
    text = "\n".join(page.read_text() for page in RUNBOOKS.glob("*.md"))
    for several in re.findall(r"posstream_\((.*?)\)", text):
        text += "".join(f" posstream_{name} " for name in several.split("|"))
    names = set(re.findall(r"\bposstream_[a-z]\w*", text))
    # The sample of a histogram that a command asks for.
    assert {re.sub("_bucket$", "", name) for name in names} <= METRICS.keys()


def test_each_alert_is_played() -> None:
    tests = yaml.safe_load(RULES.with_name("rules_test.yml").read_text())["tests"]
    for alert in alerts():
        played = [
            bool(case.get("exp_alerts"))
            for test in tests
            for case in test.get("alert_rule_test", ())
            if case["alertname"] == alert["alert"]
        ]
        assert played == [False, True, False], alert["alert"]


def panels() -> list[dict[str, Any]]:
    rows = json.loads(DASHBOARD.read_text())["panels"]
    return [panel for row in rows for panel in (row, *row.get("panels", ())) if "targets" in panel]


def expressions() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def test_the_dashboard_is_as_the_script_writes_it() -> None:
    assert DASHBOARD.read_text() == text(find_plugins()), "run `make dashboard`"


def test_each_panel_asks_for_metrics_and_labels_that_workers_export() -> None:
    assert {it: found for it in expressions() if (found := unknown(it))} == {}


def test_each_metric_has_a_panel() -> None:
    asked = {name for it in expressions() for name in re.findall(r"posstream_\w+", it)}
    shown = {re.sub(r"_bucket$", "", name) for name in asked}
    assert METRICS.keys() - shown == NOT_SHOWN


def test_the_dashboard_names_no_data_source() -> None:
    def found(part: Any) -> Iterator[str]:
        for key, value in part.items() if isinstance(part, dict) else enumerate(part):
            if key == "datasource":
                yield value["uid"]
            elif isinstance(value, dict | list):
                yield from found(value)

    assert set(found(json.loads(DASHBOARD.read_text()))) == {"${datasource}"}


def test_what_panels_show_has_its_unit() -> None:
    for panel in panels():
        asked = " ".join(target["expr"] for target in panel["targets"])
        unit = panel["fieldConfig"]["defaults"]["unit"]
        if "_bucket" in asked or "_age_seconds" in asked:
            assert unit == "s", panel["title"]
        if "_bytes" in asked:
            assert unit == "bytes", panel["title"]
        if "histogram_quantile" in asked and panel["type"] == "timeseries":
            assert re.findall(r"histogram_quantile\(([\d.]+)", asked) == ["0.5", "0.99"]
