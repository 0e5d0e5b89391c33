"""The tracer of OpenTelemetry, which sends its spans to a collector by OTLP over HTTP.

Own spans, as the stock instrumentation does not fit (docs/decisions/0027-own-spans.md).
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from posstream import __version__
from posstream.tracing.context import sampled
from posstream.tracing.spans import Attributes, Kind, Span, Unrecorded

#: The share of traces that posstream itself begins, if the environment does not say.
SHARE: Final = 0.01
_KINDS: Final = {kind: trace.SpanKind[kind.name] for kind in Kind}
#: The most links of a span (OpenTelemetry specification, span limits).
_MOST_LINKS: Final = 128
#: Digits of an id that are set to letters: a payment card has a dozen decimal digits in a row. None
#: of those in the middle of a trace id, by which traces are sampled.
_TRACE_LETTERS: Final = int("a000000a0000000a00000000a000000a", 16)
_SPAN_LETTERS: Final = int("a0000000a000000a", 16)


class _CardlessIds(IdGenerator):
    """Random ids that nobody takes for the number of a payment card: those are not handed on."""

    def generate_trace_id(self) -> int:
        return random.getrandbits(128) | _TRACE_LETTERS  # `a` with any bits is a letter

    def generate_span_id(self) -> int:
        return random.getrandbits(64) | _SPAN_LETTERS


@dataclass(frozen=True, slots=True)
class _Recorded:
    span: trace.Span

    @property
    def traceparent(self) -> str:
        found = self.span.get_span_context()
        return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"

    def end(self, attributes: Attributes | None = None, *, failed: str | None = None) -> None:
        if attributes:
            self.span.set_attributes(attributes)
        if failed is not None:
            self.span.set_attribute("error.type", failed)
            self.span.set_status(trace.StatusCode.ERROR)
        self.span.end()


class OpenTelemetry:
    """A tracer; see `spans.Tracer`.

    Args:
        provider: of the SDK.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("posstream", __version__)

    def span(
        self,
        name: str,
        kind: Kind,
        parent: str | None,
        attributes: Attributes | None = None,
    ) -> Span:
        """Begin a span; see `spans.Tracer`."""
        return self._begun(name, kind, parent, (), attributes)

    def list_span(self, name: str, records: Iterable[Any], attributes: Attributes) -> Span:
        """Begin the span of a list; see `spans.Tracer`."""
        first, *others = sampled(records) or (None,)
        return self._begun(name, Kind.CONSUMER, first, others[:_MOST_LINKS], attributes)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()

    def _begun(
        self,
        name: str,
        kind: Kind,
        parent: str | None,
        linked: Sequence[str | None],
        attributes: Attributes | None,
    ) -> Span:
        context = None if parent is None else _context(parent)
        span = self._tracer.start_span(
            name,
            # Never the context of this task: spans of other events would become its children.
            trace.set_span_in_context(
                trace.INVALID_SPAN if context is None else NonRecordingSpan(context)
            ),
            _KINDS[kind],
            attributes,
            [trace.Link(_context(each)) for each in linked if each is not None],
        )
        return _Recorded(span) if span.is_recording() else Unrecorded(parent)


def _context(traceparent: str) -> SpanContext:
    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )


def open_telemetry(process: str, environ: Mapping[str, str]) -> OpenTelemetry:
    """The tracer of a process, which sends to the collector that the environment names.

    Args:
        process: which of a worker's processes it is.
        environ: OpenTelemetry's variables.
    """
    provider = provider_of(process, environ)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OpenTelemetry(provider)


def provider_of(process: str, environ: Mapping[str, str]) -> TracerProvider:
    """The SDK as we want it; the environment takes precedence."""
    about = {"service.version": __version__, "posstream.process": process}
    resource = Resource.create(about)
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "posstream"}))
    return TracerProvider(
        resource=resource,
        sampler=None if environ.get("OTEL_TRACES_SAMPLER") else ParentBasedTraceIdRatio(SHARE),
        id_generator=_CardlessIds(),
        shutdown_on_exit=False,
    )
