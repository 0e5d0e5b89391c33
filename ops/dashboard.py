"""Prints the Grafana dashboard `ops/grafana/posstream.json`: `make dashboard`.

The rows of the platform are listed here. Each plugin that is found has a row of its own, with a
panel for each metric that it declares and no other row shows.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from typing import Final

from grafana_foundation_sdk.builders.common import StackingConfig
from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    Dashboard,
    DatasourceVariable,
    QueryVariable,
    Row,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.timeseries import Panel as Lines
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import StackingMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    RowPanel,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableOption,
    VariableRefresh,
)

from posstream.metrics import Metric
from posstream.plugin import Plugin
from posstream.plugins.discovery import find_plugins

#: The Prometheus that is chosen at the top of the dashboard.
_SOURCE: Final = DataSourceRef("prometheus", "${datasource}")
#: The workers that are chosen there.
_CHOSEN: Final = 'job=~"$job", instance=~"$instance"'
#: Grafana's widths: a line has 24.
_WIDTH, _NARROW, _HEIGHT, _LOW = 8, 3, 7, 4
_RATE: Final = "$__rate_interval"

#: PromQL, and the name of its lines.
Query = tuple[str, str]


def series(name: str, matchers: str = "") -> str:
    """A metric of the chosen workers; `posstream_` goes before its name."""
    return f"posstream_{name}{{{', '.join(filter(None, (matchers, _CHOSEN)))}}}"


def rate(name: str, *by: str, matchers: str = "") -> Query:
    """A counter per second, over all workers."""
    inner = f"rate({series(name, matchers)}[{_RATE}])"
    return f"sum by ({', '.join(by)}) ({inner})" if by else f"sum({inner})", _legend(by, name)


def level(name: str, *by: str, matchers: str = "") -> Query:
    """A gauge, for each worker unless other labels are given."""
    by = by or ("instance",)
    return f"sum by ({', '.join(by)}) ({series(name, matchers)})", _legend(by, name)


def quantiles(name: str) -> tuple[Query, ...]:
    """p50 and p99 of a histogram, over all workers."""
    buckets = f"sum by (le) (rate({series(f'{name}_bucket')}[{_RATE}]))"
    return tuple(
        (f"histogram_quantile({part}, {buckets})", label)
        for part, label in ((0.5, "p50"), (0.99, "p99"))
    )


def _legend(by: Iterable[str], name: str) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in by) or name


def _target(query: Query) -> Dataquery:
    expression, legend = query
    return Dataquery().expr(expression).legend_format(legend).datasource(_SOURCE)


def lines(title: str, *queries: Query, unit: str = "short", stacked: bool = False) -> Lines:
    """A panel with lines over time."""
    panel = Lines().title(title).unit(unit).datasource(_SOURCE).span(_WIDTH).height(_HEIGHT).min(0)
    if stacked:
        panel.stacking(StackingConfig().mode(StackingMode.NORMAL)).fill_opacity(30)
    return panel.targets([_target(query) for query in queries])


def figure(
    title: str,
    expression: str,
    unit: str = "short",
    *,
    red_from: float | None = None,
    red_below: float | None = None,
) -> Stat:
    """A panel with the number of now: green, and red from or below a limit."""
    steps = [Threshold(None, "green" if red_below is None else "red")]
    if red_below is not None:
        steps.append(Threshold(red_below, "green"))
    if red_from is not None:
        steps.append(Threshold(red_from, "red"))
    colours = ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
    panel = Stat().title(title).unit(unit).datasource(_SOURCE).span(_NARROW).height(_LOW)
    return panel.thresholds(colours).targets([_target((expression, title))])


def breaker(panel: Lines | Stat) -> Lines | Stat:
    """The panel with the states of the breaker as words."""
    words = {str(at): ValueMappingResult(text) for at, text in enumerate(_BREAKER)}
    return panel.mappings([ValueMap(words)])


_BREAKER: Final = ("closed", "half open", "open")


def now() -> Iterator[Lines | Stat]:
    """All is well, or it is not."""
    answers = rate("answers_total")[0]
    unknown = "NONE|NOT_FOUND|INVALID_IDENTIFIER"
    failed = rate("answers_total", matchers=f'reason!~"{unknown}"')[0]
    yield figure("Workers", f"count({series('build_info')})", red_below=1)
    yield figure("Answers a second", answers, "cps")
    yield figure("Failed", f"({failed} or vector(0)) / {answers}", "percentunit", red_from=0.1)
    yield figure("p99 of answers", quantiles("answer_seconds")[1][0], "s", red_from=5)
    oldest = f"max({series('oldest_unanswered_seconds')})"
    yield figure("Oldest event", oldest, "s", red_from=15)
    yield breaker(figure("Breaker", f"max({series('breaker_state')})", red_from=1))
    yield figure("Brokers", f"min({series('brokers')})", red_below=1)
    yield figure("Database", f"min({series('database_up')})", red_below=1)
    firing = 'count by (alertname) (ALERTS{alertname=~"Posstream.*", alertstate="firing"})'
    yield lines("Alerts that fire", (firing, "{{alertname}}"), stacked=True).span(24)


def till_answers() -> Iterator[Lines]:
    """What tills get, and when."""
    failures = rate("answers_total", "reason", matchers='source="NONE"')
    yield lines("Answers by source", rate("answers_total", "source"), unit="cps", stacked=True)
    yield lines("Answers without a customer", failures, unit="cps", stacked=True)
    yield lines("Time to the answer", *quantiles("answer_seconds"), unit="s")
    yield lines("Age of the oldest event", level("oldest_unanswered_seconds", "plugin"), unit="s")
    yield lines("Events in flight", level("events_in_flight"))
    yield lines("Time without a commit", level("commit_age_seconds"), unit="s")


def directory() -> Iterator[Lines | Stat]:
    """The customer system of the retailer."""
    calls = (("api_calls_in_flight", "in flight"), ("api_calls_queued", "waiting"))
    yield lines("Calls by result", rate("api_calls_total", "status"), unit="cps", stacked=True)
    yield lines("Time of a call", *quantiles("api_call_seconds"), unit="s")
    yield lines("Calls now", *((level(name)[0], f"{{{{instance}}}} {it}") for name, it in calls))
    yield breaker(lines("Breaker", level("breaker_state")))
    yield lines("Retries", rate("retries_total", "outcome"), unit="cps")
    yield lines("Outage drill", level("drill_active"))


def broker() -> Iterator[Lines]:
    """Kafka, and what waits there."""
    yield lines("Brokers", level("brokers"))
    yield lines("Lost workers", level("workers_lost"))
    yield lines("Lag", level("consumer_lag", "plugin", "topic"))
    yield lines("Behind open transactions", level("held_by_transactions"))
    yield lines("Dead letters", rate("dead_letters_total", "reason"), unit="cps", stacked=True)
    yield lines("Dead letters refused", rate("dead_letters_refused_total"), unit="cps")
    yield lines("Records to recover", level("recovery_remaining", "instance", "plugin"))


def database() -> Iterator[Lines]:
    """The read model in SQL."""
    yield lines("Database", level("database_up"))
    yield lines("Events to project", level("projection_lag", "plugin"))
    yield lines("Projections that write", level("projection_up", "instance", "plugin"))


def web_view() -> Iterator[Lines]:
    """Console, GraphQL, keys and configuration."""
    yield lines("Connections", level("web_connections"))
    ended = rate("web_connections_ended_total", "why")
    yield lines("Connections ended", ended, unit="cps", stacked=True)
    yield lines("Streams", level("streams"), rate("streams_dropped_total"))
    yield lines("Wrong keys", rate("wrong_keys_total"), unit="cps")
    yield lines("Look-ups refused", rate("lookups_refused_total"), unit="cps")
    versions = level("plugin_configuration_version", "instance", "plugin")
    yield lines("Configuration in force", versions)
    yield lines("Configurations refused", rate("configuration_refused_total"), unit="cps")


def processes() -> Iterator[Lines]:
    """CPU, memory and files of the workers' processes."""
    by = ("instance", "process")
    yield lines("Cores used", rate("process_cpu_seconds_total", *by))
    yield lines("Memory", level("process_resident_memory_bytes", *by), unit="bytes")
    yield lines("Delay of the event loop", *quantiles("event_loop_delay_seconds"), unit="s")
    opened, most = level("process_open_fds", *by), level("process_max_fds", *by)
    yield lines("Open files", (f"{opened[0]} / {most[0]}", opened[1]), unit="percentunit")
    started = level("process_start_time_seconds", *by)
    yield lines("Age of the process", (f"time() - {started[0]}", started[1]), unit="s")
    yield lines("Versions", level("build_info", "version", "python", "faust", "aiokafka"))


def of_plugin(plugin: Plugin, shown: str) -> Iterator[Lines]:
    """The row of one plugin.

    Args:
        plugin: which one.
        shown: the panels of the other rows; a metric in there is not shown again.
    """
    its = f'plugin="{plugin.name}"'
    yield lines("Workers by state", level("plugin_state", "state", matchers=its), stacked=True)
    yield lines("Lag", level("consumer_lag", "topic", "partition", matchers=its))
    yield lines("Oldest event", level("oldest_unanswered_seconds", matchers=its), unit="s")
    waiting = level("plugin_lag", matchers=its)
    yield lines("Restarts", rate("plugin_restarts_total", "instance", matchers=its), unit="cps")
    yield lines("Events that wait for a failed plugin", waiting)
    for metric in plugin.metrics:
        if re.search(rf"\bposstream_{metric.name}(_total|_bucket)?\b", shown) is None:
            yield of_metric(metric)


def of_metric(metric: Metric) -> Lines:
    """A panel for a metric as its plugin declares it."""
    seconds = metric.name.endswith("_seconds")
    title = metric.meaning.removesuffix(".")
    if metric.kind == "histogram":
        return lines(title, *quantiles(metric.name), unit="s" if seconds else "short")
    if metric.kind == "counter":
        unit = "percentunit" if seconds else "cps"
        return lines(title, rate(f"{metric.name}_total", *metric.labels), unit=unit)
    unit = "s" if seconds else "short"
    return lines(title, level(metric.name, "instance", *metric.labels), unit=unit)


def dashboard(plugins: Iterable[Plugin]) -> Dashboard:
    """The whole dashboard."""
    made = Dashboard("posstream").uid("posstream").tags(["posstream"]).refresh("10s")
    made.time("now-1h", "now").timezone("browser").readonly().tooltip(DashboardCursorSync.CROSSHAIR)
    _choices(made)
    rows = {
        "Now": now(),
        "Till answers": till_answers(),
        "Directory": directory(),
        "Broker and lag": broker(),
        "Database and projections": database(),
        "Processes": processes(),
        "Web view and configuration": web_view(),
    }
    shown = ""
    for title, panels in rows.items():
        made.with_row(Row(title))
        for panel in panels:
            made.with_panel(panel)
            shown += JSONEncoder().encode(panel.build())
    for plugin in plugins:
        row = Row(f"Plugin {plugin.name}")
        for panel in of_plugin(plugin, shown):
            row.with_panel(panel)
        made.with_row(row)
    return made


def _choices(made: Dashboard) -> None:
    made.with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    workers = 'posstream_build_info{job=~"$job"}'
    for name, query in (
        ("job", "label_values(posstream_build_info, job)"),
        ("instance", f"label_values({workers}, instance)"),
    ):
        every = VariableOption(selected=True, text=["All"], value=["$__all"])
        variable = QueryVariable(name).label(name).query(query).datasource(_SOURCE).multi(True)
        variable.include_all(True).current(every).refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        made.with_variable(variable)
    changes = f"changes({series('plugin_configuration_version')}[1m]) > 0"
    for name, colour, expression in (
        ("Configuration changed", "blue", changes),
        ("Outage drill", "orange", f"{series('drill_active')} == 1"),
    ):
        mark = AnnotationQuery().name(name).datasource(_SOURCE).enable(True).icon_color(colour)
        made.annotation(mark.expr(expression))


def text(plugins: Iterable[Plugin]) -> str:
    """The dashboard as JSON."""
    made = dashboard(plugins).build()
    for number, panel in enumerate(made.panels or (), 1):
        inside = panel.panels if isinstance(panel, RowPanel) else ()
        panel.id_val = number * 100
        for place, it in enumerate(inside, 1):
            it.id_val = panel.id_val + place
    return JSONEncoder(sort_keys=True, indent=1).encode(made) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text(find_plugins()))
