"""Lets spans that the gateway's own instrumentation starts inside a turn hang under the turn's lane.

Imported by ``configure()`` alone, and only where the OpenTelemetry API is installed. No span is recorded here: what
is attached only says which span the exported lane will be, so that its children find their parent.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry import trace as otel_trace

from turnscope.current import current_scope

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from turnscope.current import Scope

_SAMPLED = otel_trace.TraceFlags(otel_trace.TraceFlags.SAMPLED)


class _ScopeSpan(otel_trace.NonRecordingSpan):
    """The span that a turn or a lane will be exported as.

    Asked for inside of one of the turn's lanes, a turn's span answers for this lane: so a lane costs nothing here
    until somebody makes a child of it.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def get_span_context(self) -> otel_trace.SpanContext:
        scope, turn = self._scope, self._scope.turn
        inner = current_scope()
        if scope is turn and inner is not None and inner.turn is turn:
            scope = inner
        if turn is None:
            return otel_trace.INVALID_SPAN_CONTEXT
        # A lane that a forked child opens is the child's, the turn is still its parent's.
        process_id = turn.process_id if scope is turn else turn.recording_process_id
        span = int(span_id(process_id, turn.id, scope.lane, scope.first_seq), 16)
        return otel_trace.SpanContext(int(turn.trace_id, 16), span, is_remote=False, trace_flags=_SAMPLED)

    def __repr__(self) -> str:
        return f"ScopeSpan({self._scope.lane})"


def span_id(process_id: str, turn_id: str, lane: str, first_seq: int) -> str:
    """Return the span id, 16 hex digits, of what the mark *first_seq* of a process opened: a lane, or the turn.

    The process is in it because each one counts from 1: a turn that is resumed would have the same id once more.
    """
    return span_key(process_id, turn_id, lane, first_seq).hex()


def span_key(process_id: str, turn_id: str, lane: str, first_seq: int) -> bytes:
    """Return the same span id as its 8 bytes."""
    return blake2b(f"{process_id}/{turn_id}/{lane}/{first_seq}".encode(), digest_size=8).digest()


def incoming() -> tuple[str, str] | None:
    """Return the trace id and the span id of the context that the caller runs in, ``None`` when it has none."""
    context = otel_trace.get_current_span().get_span_context()
    return (f"{context.trace_id:032x}", f"{context.span_id:016x}") if context.is_valid else None


def context_of(scope: Scope) -> Context:
    """Return the current context with the span of *scope* in it."""
    return otel_trace.set_span_in_context(_ScopeSpan(scope))


get = otel_context.get_current
"""Return the context that is current."""


def put(context: Context) -> None:
    """Make *context* the current one.

    Never by token: a token must be given back in the context that it came from, and a generator's steps may run in
    another one each. OpenTelemetry logs an error for that and leaves the wrong span current.
    """
    otel_context.attach(context)
