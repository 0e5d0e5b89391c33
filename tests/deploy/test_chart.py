"""The Helm chart, rendered by Helm's own code: Kubernetes and posstream take what it says."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from posstream import __version__, settings
from posstream.plugins.discovery import find_plugins
from posstream.settings import Settings, unknown_settings
from posstream.startup import broker_settings
from posstream.tracing.starting import is_wanted
from web.programs import health_routes, metrics_routes

pytestmark = pytest.mark.deploy

ROOT = Path(__file__).parents[2]
CHART = ROOT / "ops/helm/posstream"
#: The fewest values.
FEWEST = {"settings": {"POSSTREAM_BROKER": "kafka://kafka:9092"}}
#: Every part that is off by default, and every choice taken otherwise.
MOST = {
    "settings": {"POSSTREAM_BROKER": "kafka://kafka:9092", "POSSTREAM_WEB_PORT": "8443"},
    "imagePullSecrets": [{"name": "pull"}],
    "certificates": {"secretName": "kafka-ca"},
    "storage": {"storageClassName": "fast"},
    "projection": {"enabled": True},
    "antiAffinity": "required",
    "nodeSelector": {"disk": "local"},
    "tolerations": [{"key": "tills", "operator": "Exists"}],
    "priorityClassName": "tills",
    "podAnnotations": {"team": "tills"},
    "networkPolicy": {"from": [{"namespaceSelector": {}}]},
    "serviceMonitor": {"enabled": True},
    "tracing": {
        "settings": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"},
        "headersKey": "collector",
    },
}
SECRETS = {
    "POSSTREAM_API_KEYS": "viewer:0123456789abcdef",
    "POSSTREAM_DATABASE_URL": "postgresql://db/shop",
}


def rendered(values: dict[str, Any]) -> list[Any]:
    """The objects that `helm template` would print."""
    import helm_python

    files = helm_python.Chart.load(CHART).render(values, name="posstream")
    texts = [text for name, text in sorted(files.items()) if name.endswith(".yaml")]
    return [it for text in texts for it in yaml.safe_load_all(text) if it is not None]


def of_kind(objects: list[Any], kind: str) -> Any:
    (found,) = [it for it in objects if it["kind"] == kind]
    return found


def pods(objects: list[Any]) -> list[Any]:
    return [it["spec"]["template"]["spec"] for it in objects if "template" in it["spec"]]


def refusal(values: dict[str, Any]) -> str:
    import helm_python

    chart = helm_python.Chart.load(CHART)
    with pytest.raises(helm_python.HelmError) as refused:
        chart.render(values)
    return str(refused.value)


def test_helm_lint_finds_nothing_to_warn_of() -> None:
    import helm_python

    info = 1
    report = helm_python.lint(CHART, FEWEST, strict=True)
    assert [it for it in report["messages"] if it["severity"] > info] == []


@pytest.mark.parametrize("values", [FEWEST, MOST], ids=["fewest", "most"])
def test_kubernetes_takes_every_object(values: dict[str, Any]) -> None:
    import kubernetes_validate

    objects = rendered(values)
    # Of the Prometheus operator, not of Kubernetes.
    own = [it for it in objects if it["kind"] != "ServiceMonitor"]
    assert len(own) >= 5
    for version in ("1.28", kubernetes_validate.latest_version()):
        for it in own:
            kubernetes_validate.validate(it, version, strict=True)


@pytest.mark.parametrize("values", [FEWEST, MOST], ids=["fewest", "most"])
def test_posstream_takes_the_environment_of_every_container(
    values: dict[str, Any], tmp_path: Path
) -> None:
    objects = rendered(values)
    keys = yaml.safe_load((CHART / "values.yaml").read_text())["secrets"]["settings"]
    for setting, key in keys.items():
        (tmp_path / key).write_text(SECRETS[setting])
    for pod in pods(objects):
        (container,) = pod["containers"]
        given = {it["name"]: it["value"] for it in container["env"] if "value" in it}
        environ = {k: v.replace("/run/posstream", str(tmp_path)) for k, v in given.items()}
        assert unknown_settings(environ) == []
        taken = Settings.from_environment(environ)
        assert taken.broker == "kafka://kafka:9092"
        assert taken.database_url == SECRETS["POSSTREAM_DATABASE_URL"]
        alone = values.get("projection", {}).get("enabled", False)
        assert taken.projection == (settings.ALONE if alone else settings.WORKER)


@pytest.mark.parametrize("values", [FEWEST, MOST], ids=["fewest", "most"])
def test_probes_services_and_policy_lead_to_the_port_of_the_web_view(
    values: dict[str, Any],
) -> None:
    objects = rendered(values)
    port = int(values["settings"].get("POSSTREAM_WEB_PORT", Settings().web_port))
    (worker,) = of_kind(objects, "StatefulSet")["spec"]["template"]["spec"]["containers"]
    assert worker["ports"] == [{"name": "http", "containerPort": port}]
    probed = {k: v["httpGet"] for k, v in worker.items() if k.endswith("Probe")}
    routes = {route.path for route in health_routes(None)}  # type: ignore[arg-type] # not called
    assert {it["path"] for it in probed.values()} == routes
    assert set(probed) == {"startupProbe", "livenessProbe", "readinessProbe"}
    assert {it["port"] for it in probed.values()} == {"http"}
    ports = [it["spec"]["ports"][0]["port"] for it in objects if it["kind"] == "Service"]
    assert ports == [port, port]
    (ingress,) = of_kind(objects, "NetworkPolicy")["spec"]["ingress"]
    assert ingress["ports"] == [{"port": port}]


def test_prometheus_asks_for_the_metrics_with_a_key() -> None:
    objects = rendered(MOST)
    monitor = of_kind(objects, "ServiceMonitor")["spec"]
    (endpoint,) = monitor["endpoints"]
    (route,) = metrics_routes(None)  # type: ignore[arg-type] # not called
    assert endpoint["path"] == route.path
    assert endpoint["authorization"]["credentials"] == {
        "name": "posstream",
        "key": "metrics-api-key",
    }
    # As the alerts name the job.
    services = [it for it in objects if it["kind"] == "Service"]
    assert {it["metadata"]["labels"][monitor["jobLabel"]] for it in services} == {"posstream"}


def test_every_process_is_told_where_traces_go_and_the_token_stays_in_the_secret() -> None:
    for pod in pods(rendered(MOST)):
        (container,) = pod["containers"]
        given = {it["name"]: it for it in container["env"] if it["name"].startswith("OTEL_")}
        assert is_wanted({name: it.get("value", "") for name, it in given.items()})
        assert given["OTEL_EXPORTER_OTLP_HEADERS"]["valueFrom"] == {
            "secretKeyRef": {"name": "posstream", "key": "collector"}
        }


def test_every_pod_runs_as_the_image_s_user_and_writes_into_volumes_only() -> None:
    user = int((ROOT / "Dockerfile").read_text().split("USER ")[1].split(":")[0])
    found = pods(rendered(MOST))
    assert len(found) == 2
    for pod in found:
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsUser"] == user
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        mounts = container["volumeMounts"]
        assert [it["mountPath"] for it in mounts if not it.get("readOnly")] == [
            "/data",
            "/tmp",  # noqa: S108 - an emptyDir of the pod's
        ]
        # Else the variables of a Service named posstream would be taken for settings.
        assert pod["enableServiceLinks"] is False


def test_the_chart_knows_every_secret_and_no_other() -> None:
    of_plugins = [it.settings.secrets for it in find_plugins() if it.settings is not None]
    secrets = settings._SECRETS.union(broker_settings.SECRETS, *of_plugins)
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    assert sorted(secrets) == schema["$defs"]["secret"]["enum"]


#: Values that cannot work, and what the refusal names.
WRONG = {
    "no broker": ({}, "POSSTREAM_BROKER"),
    "a secret among the settings": (
        {"settings": {**FEWEST["settings"], "POSSTREAM_API_KEY": "0123456789abcdef"}},
        "POSSTREAM_API_KEY",
    ),
    "a token in plain sight": (
        {**FEWEST, "tracing": {"settings": {"OTEL_EXPORTER_OTLP_HEADERS": "a=b"}}},
        "OTEL_EXPORTER_OTLP_HEADERS",
    ),
    "no secret": (
        {**FEWEST, "secrets": {"settings": {"POSSTREAM_LOG_FORMAT": "a"}}},
        "POSSTREAM_LOG_FORMAT",
    ),
    "a misspelt value": ({**FEWEST, "replicaCount": 3}, "replicaCount"),
    "SQLite for two": (
        {**FEWEST, "secrets": {"settings": {"POSSTREAM_DATABASE_URL": None}}},
        "a PostgreSQL that all share",
    ),
}


@pytest.mark.parametrize(("values", "said"), WRONG.values(), ids=WRONG)
def test_values_that_cannot_work_are_refused_by_name(values: dict[str, Any], said: str) -> None:
    assert said in refusal(values)


def test_the_chart_has_the_version_of_posstream() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert [chart["version"], chart["appVersion"]] == [__version__, __version__]
