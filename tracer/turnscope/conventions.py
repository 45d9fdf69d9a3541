"""What a span is to an agent's turn, told by the conventions that its attributes follow.

GenAI names change from release to release; all that are known stand here, and nowhere else. Those that we send
ourselves stand in `turnscope.ship.names`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Role = Literal["agent", "model", "tool", "compaction", "hydration", "queue", "request"]
"""``request`` is the HTTP request below a model call; it belongs to a turn only by what it says of its parent."""

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

_METHODS: Final = ("http.request.method", "http.method")
_TELLING: Final = frozenset([*(name for name, _ in _ROLES), *(name for name, _ in _ABOUT), *_METHODS])

SESSIONS: Final = ("gen_ai.conversation.id", "session.id", "langfuse.session.id", "gen_ai.thread.id", "thread.id")
MODELS: Final = ("gen_ai.request.model", "gen_ai.response.model", "llm.model_name", "ai.model.id")
TOOLS: Final = ("gen_ai.tool.name", "tool.name", "ai.toolCall.name", "traceloop.entity.name")
CALLS: Final = ("gen_ai.tool.call.id", "tool_call.id", "tool.id", "ai.toolCall.id")

_OPERATIONS: Final = next(roles for name, roles in _ROLES if name == "gen_ai.operation.name")
_MODEL_PATH = re.compile(
    r"/(?:chat/completions|completions|responses|messages|converse(?:-stream)?|invoke(?:-with-response-stream)?"
    r"|[^/?]*:(?:stream)?[gG]enerateContent)(?:[?#]|$)"
)


def role_of(name: str, attrs: Mapping[str, Any], *, serves: bool = False, calls: bool = False) -> Role | None:
    """Return what a span is to a turn, None where it is nothing to one.

    Args:
        name: The span's name.
        attrs: Its attributes, as far as it has them.
        serves: It is of the kind SERVER.
        calls: It is of the kind CLIENT.
    """
    says = _TELLING.intersection(attrs)  # one look, as most spans of a program are nothing to a turn
    if says:
        for attribute, roles in _ROLES:
            if attribute in says and (value := attrs[attribute]) is not None:
                role = roles.get(str(value))
                # The other end of a tool's call traces it, too; it counts once.
                return None if role == "tool" and serves else role
    if (own := _OWN.get(name)) is not None:
        return own
    if says and (about := next((role for attribute, role in _ABOUT if attribute in says), None)) is not None:
        return about
    return "request" if calls and says and _is_request(attrs) else None


def role_of_name(name: str, *, calls: bool = False) -> Role | None:
    """Return what a span is by its name alone, ``{operation} {what}`` in the GenAI conventions.

    For a span that has just begun: some instrumentation says all else when it ends.

    Args:
        name: The span's name.
        calls: It is of the kind CLIENT, as requests to a model are.
    """
    role = _OPERATIONS.get(name.partition(" ")[0])
    return role if role != "model" or calls else None


def first_text(attrs: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """Return the first of the attributes *names* that says something, cut at 128 characters; "" where none does."""
    for name in names:
        value = attrs.get(name)
        if value is not None and value != "":
            return str(value)[:128]
    return ""


def _is_request(attrs: Mapping[str, Any]) -> bool:
    """Tell whether an HTTP client's span is a request to a model."""
    if first_text(attrs, _METHODS) != "POST":
        return False
    where = attrs.get("url.full") or attrs.get("http.url") or attrs.get("url.path") or attrs.get("http.target")
    return isinstance(where, str) and _MODEL_PATH.search(where) is not None
