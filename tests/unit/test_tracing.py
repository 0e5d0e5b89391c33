"""Spans: whose children they are, which are recorded, and what is handed on."""

import re
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from posstream.domain.payment_card import may_hold_payment_card
from posstream.tracing.context import sampled, traceparent
from posstream.tracing.open_telemetry import OpenTelemetry, provider_of
from posstream.tracing.spans import Kind, Untraced
from posstream.tracing.starting import is_wanted, start_tracing, tracer

TRACE, SPAN = "a" * 32, "b" * 16
RECORDED, NOT_RECORDED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"


def traces(**environ: str) -> tuple[OpenTelemetry, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = provider_of("worker", environ)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return OpenTelemetry(provider), exporter


def record(*headers: tuple[str, bytes]) -> Any:
    return SimpleNamespace(headers=headers)


def test_a_recorded_trace_goes_on_below_its_cause() -> None:
    tracer, exporter = traces()
    span = tracer.span("lookup", Kind.INTERNAL, RECORDED, {"posstream.source": "CACHE"})
    span.end(failed="TIMEOUT")
    (made,) = exporter.get_finished_spans()
    assert made.parent is not None
    assert f"{made.parent.span_id:016x}" == SPAN
    assert span.traceparent == f"00-{TRACE}-{made.context.span_id:016x}-01"
    assert made.attributes == {"posstream.source": "CACHE", "error.type": "TIMEOUT"}
    assert not made.status.is_ok


def test_a_trace_that_is_not_recorded_passes_as_it_came() -> None:
    tracer, exporter = traces()
    span = tracer.span("lookup", Kind.INTERNAL, NOT_RECORDED)
    span.end()
    assert span.traceparent == NOT_RECORDED
    assert not exporter.get_finished_spans()


def test_a_list_is_below_its_first_recorded_event_and_linked_to_the_others() -> None:
    tracer, exporter = traces()
    others = [f"00-{'c' * 31}{number}-{SPAN}-01" for number in range(3)]
    records = [
        record(),
        record(("traceparent", NOT_RECORDED.encode())),
        record(("ce_id", b"1"), ("traceparent", RECORDED.encode())),
        record(("traceparent", b"nonsense-1")),
        *(record(("traceparent", each.encode())) for each in others),
    ]
    tracer.list_span("process it", records, {}).end()
    (made,) = exporter.get_finished_spans()
    assert made.parent is not None
    assert f"{made.parent.trace_id:032x}" == TRACE
    assert [f"{link.context.trace_id:032x}" for link in made.links] == [
        each.split("-")[1] for each in others
    ]


def test_one_trace_of_a_hundred_is_begun_by_us_unless_the_environment_says_otherwise() -> None:
    tracer, exporter = traces()
    for _ in range(10_000):
        tracer.span("lookup", Kind.INTERNAL, None).end()
    # Binomial: fewer than 50 or more than 160 come once in a million runs.
    assert 50 <= len(exporter.get_finished_spans()) <= 160


@pytest.mark.parametrize(("sampler", "expected"), [("always_on", 20), ("always_off", 0)])
def test_the_environment_names_the_sampler(
    sampler: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    tracer, exporter = traces(OTEL_TRACES_SAMPLER=sampler)
    for _ in range(20):
        tracer.span("lookup", Kind.INTERNAL, None).end()
    assert len(exporter.get_finished_spans()) == expected


def test_an_id_of_ours_is_never_taken_for_a_payment_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
    tracer, _ = traces(OTEL_TRACES_SAMPLER="always_on")
    for _ in range(2000):
        context = tracer.span("lookup", Kind.INTERNAL, None).traceparent or ""
        assert not may_hold_payment_card(context.encode())
        assert not re.search("[0-9-]{12}", context)
        assert traceparent([("traceparent", context.encode())]) == context


def test_without_a_collector_contexts_pass() -> None:
    untraced = Untraced()
    assert untraced.span("lookup", Kind.INTERNAL, RECORDED).traceparent == RECORDED
    assert untraced.span("lookup", Kind.INTERNAL, None).traceparent is None
    untraced.list_span("process it", [record()], {}).end()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_traces_are_wanted_where_a_collector_is_named(
    environ: dict[str, str], expected: object
) -> None:
    assert is_wanted(environ) is expected


def test_only_recorded_contexts_of_records_count() -> None:
    assert sampled([record(("traceparent", RECORDED.encode())), record()]) == [RECORDED]
    assert (
        sampled([record(("traceparent", b"")), record(("traceparent", NOT_RECORDED.encode()))])
        == []
    )


def test_a_variable_of_open_telemetry_that_cannot_be_used_stops_no_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "256")  # less than a batch
    start_tracing("worker")
    assert isinstance(tracer(), Untraced)
    assert "nothing is traced, because a variable OTEL_" in caplog.text
