"""Starts and ends the traces of this process, as OpenTelemetry's variables ask for them.

A process has one tracer, as it has one log: spans begin in the middle of everything.
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import Final

from posstream.tracing.spans import Tracer, Untraced

log = logging.getLogger(__name__)

#: Names of the environment (OpenTelemetry specification, OTLP exporter and SDK configuration).
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
#: How long a stop waits for the last spans: a collector that is away may not hold up a worker.
_LAST_SECONDS: Final = 2.0

_tracer: Tracer = Untraced()
_end: Callable[[], None] | None = None


def tracer() -> Tracer:
    """The tracer of this process."""
    return _tracer


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether the environment asks for traces."""
    return (
        any(environ.get(name) for name in _ENDPOINTS)
        and environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"
        and environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() != "none"
    )


def start_tracing(process: str) -> None:
    """Begin to trace, if the environment asks for it; without the extra, say so and go on.

    Args:
        process: which of a worker's processes this one is.
    """
    global _tracer, _end
    if not is_wanted(os.environ):
        return
    try:
        from posstream.tracing.open_telemetry import open_telemetry
    except ImportError as why:
        log.warning(
            "nothing is traced, because %s is not installed: pip install 'posstream[tracing]'",
            why.name,
        )
        return
    try:
        traces = open_telemetry(process, os.environ)
    except ValueError as why:  # of a variable that OpenTelemetry reads itself
        log.warning("nothing is traced, because a variable OTEL_… cannot be used: %s", why)
        return
    _tracer, _end = traces, traces.close


def stop_tracing() -> None:
    """Send what is left, but do not wait for long."""
    global _tracer, _end
    if _end is not None:
        ending = threading.Thread(target=_end, daemon=True)
        ending.start()
        ending.join(_LAST_SECONDS)
    _tracer, _end = Untraced(), None
