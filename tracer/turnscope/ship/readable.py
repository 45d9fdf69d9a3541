"""Writes spans as OpenTelemetry's SDK has them, for an exporter that somebody has given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from turnscope.phases import PHASE
from turnscope.process import VERSION
from turnscope.ship.names import attributes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.sdk.resources import Resource

    from turnscope.ship.story import Step

SCOPE: Final = InstrumentationScope("turnscope", VERSION)

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class Readable:
    """Writes spans as objects. See `turnscope.ship.spans.Writer`."""

    def lane(
        self,
        resource: Resource,
        trace_id: str,
        name: str,
        *,
        span: bytes,
        parent: bytes,
        start_ns: int,
        end_ns: int,
        attributes: Mapping[str, Any],
        steps: Sequence[Step],
        error: str,
        is_client: bool,
    ) -> ReadableSpan:
        """Return the span of a lane."""
        trace = int(trace_id, 16)
        return ReadableSpan(
            name,
            _context(trace, span),
            parent=_context(trace, parent) if parent else None,
            resource=resource,
            attributes=attributes,
            events=[Event(PHASE[step.phase].otel_name, attributes_of(step.attrs), step.wall_ns) for step in steps],
            kind=SpanKind.CLIENT if is_client else SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR, error) if error else Status(StatusCode.UNSET),
            start_time=start_ns,
            end_time=end_ns,
            instrumentation_scope=SCOPE,
        )

    def phases(
        self, resource: Resource, trace_id: str, *, parent: bytes, attributes: Mapping[str, Any]
    ) -> Callable[[str, bytes, int, int], ReadableSpan]:
        """Return what writes the spans of one lane's phases."""

        def write(name: str, span: bytes, start_ns: int, end_ns: int) -> ReadableSpan:
            return self.lane(
                resource,
                trace_id,
                name,
                span=span,
                parent=parent,
                start_ns=start_ns,
                end_ns=end_ns,
                attributes=attributes,
                steps=(),
                error="",
                is_client=False,
            )

        return write


def _context(trace: int, span: bytes) -> SpanContext:
    return SpanContext(trace, int.from_bytes(span, "big"), is_remote=False, trace_flags=_SAMPLED)
