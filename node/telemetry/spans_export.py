"""Spans to a collector of OpenTelemetry (OTLP over HTTP), by a thread of its SDK. Imported only where it is
configured: all of OpenTelemetry that Atoll uses is in here."""

import logging
import threading
import time

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from node.telemetry.spans import Span, SpanId

QUEUED = 8192
"""Spans that wait for the thread; with more of them new ones are given up."""
REQUEST_SECONDS = 2.0
CLOSING_SECONDS = 2.0
COMPLAINTS_SECONDS = 60.0  # between two lines in the log about a collector that does not answer


class Exporter:
    """The way of spans to the SDK: `export` hands one over and does not wait. `processor` receives them."""

    def __init__(self, processor: SpanProcessor, *, node: str, version: str, ratio: float) -> None:
        self._ids = _GivenIds()
        self._provider = TracerProvider(
            resource=Resource.create(
                {
                    "service.name": "atoll",
                    "service.instance.id": node,
                    "service.version": version,
                }
            ),
            sampler=TraceIdRatioBased(ratio),  # by the id alone: all nodes decide the same
            id_generator=self._ids,
            span_limits=SpanLimits(),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("atoll", version)

    def export(self, span: Span) -> None:
        self._ids.next = span.id
        context = None
        if span.parent is not None:
            context = set_span_in_context(NonRecordingSpan(_context(span.parent)))
        exported = self._tracer.start_span(
            span.name,
            context=context,
            attributes=span.attributes,
            links=() if span.link is None else (Link(_context(span.link)),),
            start_time=span.start,
        )
        if span.error is not None:
            exported.set_status(Status(StatusCode.ERROR, span.error))
        exported.end(span.end)

    def close(self, patience: float = CLOSING_SECONDS) -> None:
        """Send the waiting spans, for at most `patience` seconds: by itself the SDK would wait for longer than
        a node has to stop.
        """
        thread = threading.Thread(target=self._provider.shutdown, name="tracing", daemon=True)
        thread.start()
        thread.join(patience)


def open_exporter(endpoint: str, *, node: str, version: str, ratio: float) -> Exporter:
    """An exporter that sends to the URL of a collector."""
    _complain_in_our_log(node)
    processor = BatchSpanProcessor(
        OTLPSpanExporter(endpoint=endpoint, timeout=REQUEST_SECONDS), max_queue_size=QUEUED
    )
    return Exporter(processor, node=node, version=version, ratio=ratio)


class _GivenIds(IdGenerator):
    """Ids for the SDK, which asks for them while it makes a span: those of `next`."""

    def __init__(self) -> None:
        self.next = SpanId(trace=b"", span=b"")

    def generate_trace_id(self) -> int:
        return int.from_bytes(self.next.trace, "big")

    def generate_span_id(self) -> int:
        return int.from_bytes(self.next.span, "big")


def _context(span: SpanId) -> SpanContext:
    return SpanContext(
        trace_id=int.from_bytes(span.trace, "big"),
        span_id=int.from_bytes(span.span, "big"),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )


class _Complaints(logging.Handler):
    """The SDK's complaints as lines of our log, without stack traces, and not one per batch."""

    def __init__(self, node: str) -> None:
        super().__init__(logging.WARNING)
        self._log = structlog.get_logger().bind(node=node)  # its thread has no context of ours
        self._silent_until = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + COMPLAINTS_SECONDS
            self._log.warning("traces are not exported", reason=record.getMessage())


def _complain_in_our_log(node: str) -> None:
    logger = logging.getLogger("opentelemetry")
    logger.handlers = [_Complaints(node)]
    logger.propagate = False
