"""Journals the spans of a program that traces itself with OpenTelemetry: what is open outlives a kill.

::

    provider.add_span_processor(turnscope.integrations.opentelemetry.JournalProcessor())

A span is exported when it ends, and the one that a turn hangs in never does. This processor writes a mark when a span
of an agent begins, and one when it ends. Nothing of what spans carry is kept but ids, names, kinds and statuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import SpanKind

from turnscope._guard import guard
from turnscope.conventions import role_of, role_of_name
from turnscope.integrations.span_parts import Answer, Request, outermost, part_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from turnscope.conventions import Role
    from turnscope.integrations.span_parts import Part

_MOST_OPEN: Final = 100_000
"""Spans that are followed at a time. A program that never ends its spans must not fill its memory by us."""


class JournalProcessor(SpanProcessor):
    """Makes turns of an agent's spans, and phases of its requests to a model and of its tools.

    Spans of `turnscope.conventions` are known by themselves. An agent inside of an agent belongs to the turn around
    it, and so does one inside of a turn that the program records itself. All other spans are nothing to a turn.

    Args:
        role_of: Asked first about each span that begins; returns what it is to a turn (``agent`` begins one, ``model``,
            ``tool``, ``compaction``, ``hydration``), or ``None`` to go by its attributes and its name.
    """

    def __init__(self, role_of: Callable[[Span], Role | None] | None = None) -> None:
        self._asked = role_of
        self._open: dict[int, Part] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the SDK's signature
        """Write what begins, before its wait does; never raises."""
        try:  # not `with guard`, here and below, which costs 0.08 us more
            parent = span.parent
            above = None if parent is None else self._open.get(parent.span_id)
            part = self._begun(span, above) or above  # of what begins nothing, the children belong where it would
            if part is not None and len(self._open) < _MOST_OPEN:
                self._open[span.context.span_id] = part
        except Exception as fault:  # noqa: BLE001 - the guard's own rule, spelled out
            guard.swallow(fault)

    def on_end(self, span: ReadableSpan) -> None:
        """Write what has ended, and how; never raises."""
        try:
            part = self._open.pop(span.context.span_id, None)
            # In a forked child, what its parent began is its parent's to end.
            if part is not None and part.span_id == span.context.span_id and part.is_ours():
                part.end(span)
        except Exception as fault:  # noqa: BLE001 - as above
            guard.swallow(fault)

    def shutdown(self) -> None:
        """Do nothing: what is open stays open in the journal, which is the truth about it."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Return True: every mark is in the journal already."""
        return True

    def _begun(self, span: Span, above: Part | None) -> Part | None:
        """Write what *span* begins; None where it begins nothing of its own."""
        attrs: Mapping[str, Any] = span.attributes or {}
        role = None if self._asked is None else self._asked(span)
        if role is None:
            name, kind = span.name, span.kind
            calls = kind is SpanKind.CLIENT
            role = role_of(name, attrs, serves=kind is SpanKind.SERVER, calls=calls) or role_of_name(name, calls=calls)
        if role is None or role == "queue":
            return None
        if role == "request":
            return Answer(span, above) if isinstance(above, Request) else None
        if above is None:
            return outermost(span, attrs, role)
        # A framework and a client library may both trace one call: the outer span counts.
        return None if role in {"agent", above.role} else part_of(span, attrs, role, above.turn, above)
