"""Every metric that a worker exports, as the code declares it."""

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics import MetricWrapperBase

from posstream.metrics import Metrics
from posstream.plugins.discovery import find_plugins
from posstream.plugins.figures_collector import FiguresCollector
from posstream.processes.metrics import ProcessFigures


def declared() -> dict[str, tuple[str, set[str]]]:
    """Name as PromQL has it -> kind and labels."""
    plugins = find_plugins()
    metrics = Metrics(plugins)
    kinds = {family.name: family.type for family in metrics.registry.collect()}
    found = {}
    of_plugins = [metric for plugin in plugins for metric in metrics.of(plugin).values()]
    for metric in (*vars(metrics).values(), *of_plugins):
        if isinstance(metric, MetricWrapperBase):
            (name,) = (family.name for family in metric.describe())
            kind = kinds[name]
            total = "_total" if kind == "counter" else ""
            found[name + total] = (kind, set(metric._labelnames))
    assert len(found) == len(kinds)
    for family in FiguresCollector(dict, dict, bool).describe():
        assert isinstance(family, GaugeMetricFamily)
        found[family.name] = (family.type, set(family._labelnames))
    for family in ProcessFigures({}).collect():
        (sample,) = family.samples
        found[sample.name] = (family.type, set(sample.labels))
    return found
