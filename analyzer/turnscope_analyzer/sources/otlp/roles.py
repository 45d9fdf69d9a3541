"""What a span says about an agent's turn: its part in it, by `turnscope.conventions`, its times and its error."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from turnscope.conventions import CALLS, MODELS, SESSIONS, TOOLS, first_text, role_of
from turnscope.phases import LANES, PHASES
from turnscope_analyzer.sources.otlp.errors import error_of, status_of
from turnscope_analyzer.sources.otlp.kept import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from turnscope.conventions import Role
    from turnscope_analyzer.model import Value
    from turnscope_analyzer.sources.otlp.records import Attribute, Span

_SERVER: Final = 2
_CLIENT: Final = 3
_PENDING: Final = "pending_span"

# When the first chunk came: as a duration since the begin, with the ns of its unit, or as an event.
_FIRST_AFTER: Final = (
    ("gen_ai.response.time_to_first_chunk", 1_000_000_000),
    ("gen_ai.response.time_to_first_token", 1_000_000_000),
    ("gen_ai.server.time_to_first_token", 1_000_000_000),
    ("ai.response.msToFirstChunk", 1_000_000),
)
_FIRST_EVENT = re.compile(
    r"(?:gen_ai\.)?(?:response\.)?first_(?:token|chunk)|ai\.stream\.firstChunk|first token stream event"
    r"|(?:llm|gen_ai)\.content\.completion\.chunk|turnscope\.upstream\.first_event",
    re.IGNORECASE,
)
_PHASES: Final = {phase.otel_name: (phase.lane, phase.name) for phase in PHASES if not phase.terminal}
"""Our own names of phases; a terminal one is told by the end of the span."""

_LANE_KINDS: Final = {"agent": "turn", "model": "upstream"} | {lane.kind: lane.kind for lane in LANES}


@dataclass(slots=True)
class Facts:
    """What a span with a role says about its turn. ``reached`` are the phases that it names in its own events."""

    role: Role
    name: str
    turn_id: str
    call_id: str
    model: str
    first_ns: int | None
    reached: tuple[tuple[int, str], ...]
    error: dict[str, Value]
    status: int | None


def facts_of(span: Span) -> Facts | None:
    """Return what *span* says about a turn, None where it has no role in one."""
    calls, serves = span.kind == _CLIENT, span.kind == _SERVER
    role = role_of(span.name, span.attrs, serves=serves, calls=calls)
    if role is None:
        return None
    first_ns = _first_ns(span) if role == "model" else None
    return Facts(
        role=role,
        name=first_text(span.attrs, TOOLS) or span.name,
        turn_id=first_text(span.attrs, ("turnscope.turn.id",)),
        call_id=first_text(span.attrs, CALLS),
        model=first_text(span.attrs, MODELS),
        first_ns=first_ns,
        reached=tuple(_reached(span, role)),
        error=error_of(span, tool=role == "tool", streamed=first_ns is not None),
        status=status_of(span),
    )


def begun_request() -> Facts:
    """Return what is known of a model's span that is known only to have begun."""
    return Facts("model", "", "", "", "", None, (), {}, None)


def session_of(attrs: Mapping[str, Attribute]) -> str:
    """Return the session that a span or log record belongs to, "" where it names none."""
    return first_text(attrs, SESSIONS)


def is_pending(span: Span) -> bool:
    """Tell whether *span* only announces its parent, which has begun; Logfire sends such ones."""
    return span.parent_id != "" and span.attrs.get("logfire.span_type") == _PENDING


def _reached(span: Span, role: Role) -> Iterator[tuple[int, str]]:
    for event in span.events:
        phase = _PHASES.get(event.name)
        if phase is not None and phase[0] == _LANE_KINDS.get(role):
            yield event.at_ns, phase[1]


def _first_ns(span: Span) -> int | None:
    for name, unit_ns in _FIRST_AFTER:
        after = number(span.attrs.get(name))
        if after is not None and 0 < after * unit_ns < (span.end_ns or span.start_ns) - span.start_ns:
            return span.start_ns + int(after * unit_ns)
    times = [event.at_ns for event in span.events if _FIRST_EVENT.fullmatch(event.name)]
    return min((at_ns for at_ns in times if at_ns >= span.start_ns), default=None)
