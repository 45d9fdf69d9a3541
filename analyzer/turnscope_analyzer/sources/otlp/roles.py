"""What a span is to an agent's turn, told by the conventions that its attributes follow.

GenAI names change from release to release; all that are known stand here, and nowhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from turnscope.phases import LANES, PHASES
from turnscope_analyzer.sources.otlp.errors import error_of, status_of
from turnscope_analyzer.sources.otlp.kept import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from turnscope_analyzer.model import Value
    from turnscope_analyzer.sources.otlp.records import Attribute, Span

Role = Literal["agent", "model", "tool", "compaction", "hydration", "queue", "request"]
"""``request`` is the HTTP request below a model call; it belongs to a turn only by what it says of its parent."""

_SERVER: Final = 2
_CLIENT: Final = 3
_PENDING: Final = "pending_span"

# By attribute, in the order in which they are asked; a value that is not listed is no part of a turn.
_ROLES: Final[tuple[tuple[str, dict[str, Role]], ...]] = (
    ("openinference.span.kind", {"AGENT": "agent", "LLM": "model", "TOOL": "tool"}),
    ("traceloop.span.kind", {"workflow": "agent", "agent": "agent", "tool": "tool"}),
    (
        "gen_ai.operation.name",
        {
            "invoke_agent": "agent",
            "invoke_workflow": "agent",
            "chat": "model",
            "text_completion": "model",
            "generate_content": "model",
            "execute_tool": "tool",
        },
    ),
    ("llm.request.type", {"chat": "model", "completion": "model"}),
    (
        "ai.operationId",
        {
            "ai.generateText": "agent",
            "ai.streamText": "agent",
            "ai.generateObject": "agent",
            "ai.streamObject": "agent",
            "ai.generateText.doGenerate": "model",
            "ai.streamText.doStream": "model",
            "ai.generateObject.doGenerate": "model",
            "ai.streamObject.doStream": "model",
            "ai.toolCall": "tool",
        },
    ),
    ("mcp.method.name", {"tools/call": "tool"}),
)
_OWN: Final[dict[str, Role]] = {
    "turnscope.compaction": "compaction",
    "turnscope.hydration": "hydration",
    "turnscope.queue.wait": "queue",
}
"""Spans of our own, by their names; the others follow the conventions."""

# Attributes of spans that name no operation: what they are about tells what they are. The first one decides.
_ABOUT: Final[tuple[tuple[str, Role], ...]] = (
    ("gen_ai.tool.name", "tool"),
    ("gen_ai.tool.call.id", "tool"),
    ("gen_ai.request.model", "model"),
    ("gen_ai.agent.name", "agent"),
)

_SESSIONS: Final = ("gen_ai.conversation.id", "session.id", "langfuse.session.id", "gen_ai.thread.id", "thread.id")
_MODELS: Final = ("gen_ai.request.model", "gen_ai.response.model", "llm.model_name", "ai.model.id")
_TOOLS: Final = ("gen_ai.tool.name", "tool.name", "ai.toolCall.name", "traceloop.entity.name")
_CALLS: Final = ("gen_ai.tool.call.id", "tool_call.id", "tool.id", "ai.toolCall.id")

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
_MODEL_PATH = re.compile(
    r"/(?:chat/completions|completions|responses|messages|converse(?:-stream)?|invoke(?:-with-response-stream)?"
    r"|[^/?]*:(?:stream)?[gG]enerateContent)(?:[?#]|$)"
)


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
    role = _role_of(span)
    if role is None:
        return None
    first_ns = _first_ns(span) if role == "model" else None
    return Facts(
        role=role,
        name=_text(span.attrs, _TOOLS) or span.name,
        turn_id=_text(span.attrs, ("turnscope.turn.id",)),
        call_id=_text(span.attrs, _CALLS),
        model=_text(span.attrs, _MODELS),
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
    return _text(attrs, _SESSIONS)


def is_pending(span: Span) -> bool:
    """Tell whether *span* only announces its parent, which has begun; Logfire sends such ones."""
    return span.parent_id != "" and span.attrs.get("logfire.span_type") == _PENDING


def _role_of(span: Span) -> Role | None:
    attrs = span.attrs
    for name, roles in _ROLES:
        if (value := attrs.get(name)) is not None:
            role = roles.get(str(value))
            # The other end of a tool's call traces it, too; it counts once.
            return None if role == "tool" and span.kind == _SERVER else role
    if (own := _OWN.get(span.name)) is not None:
        return own
    for name, role in _ABOUT:
        if name in attrs:
            return role
    if span.kind == _CLIENT and _is_request(attrs):
        return "request"
    return None


def _is_request(attrs: Mapping[str, Attribute]) -> bool:
    """Tell whether an HTTP client's span is a request to a model."""
    if (attrs.get("http.request.method") or attrs.get("http.method")) != "POST":
        return False
    where = attrs.get("url.full") or attrs.get("http.url") or attrs.get("url.path") or attrs.get("http.target")
    return isinstance(where, str) and _MODEL_PATH.search(where) is not None


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


def _text(attrs: Mapping[str, Attribute], names: tuple[str, ...]) -> str:
    for name in names:
        value = attrs.get(name)
        if value is not None and value != "":
            return str(value)[:128]
    return ""
