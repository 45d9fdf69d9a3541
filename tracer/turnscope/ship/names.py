"""The names of the GenAI conventions, in one table with one switch between their two generations.

The conventions are in development and change from release to release; what changes is changed here and nowhere else.
The names of our own stand in `turnscope.phases` and `turnscope.attributes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from turnscope.attributes import ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Mapping

Generation = Literal[1, 2]

SWITCH: Final = "OTEL_SEMCONV_STABILITY_OPT_IN"
"""The variable of OpenTelemetry that chooses; a list, in which `LATEST` stands for the second generation."""

LATEST: Final = "gen_ai_latest_experimental"

TURN_ID: Final = "turnscope.turn.id"
LANE: Final = "turnscope.lane"
OUTCOME: Final = "turnscope.turn.outcome"
OPEN_AT_END: Final = "turnscope.open_at_end"
"""On a span whose lane had not ended when its turn did."""

HEARTBEAT: Final = "turnscope.span.heartbeat"
PHASE: Final = "turnscope.phase"
AGE: Final = "turnscope.phase.age"
PROGRESS_AGE: Final = "turnscope.stream.last_progress_age"


class Name(NamedTuple):
    """What one fact is called in the first and in the second generation; "" where that does not have it."""

    fact: str
    first: str
    second: str


# One row a line: a table that is read down its columns.
# fmt: off
NAMES: Final = (
    Name("operation", "gen_ai.operation.name", "gen_ai.operation.name"),
    Name("turn", "invoke_agent", "invoke_agent"),
    Name("request", "chat", "chat"),
    Name("tool", "execute_tool", "execute_tool"),
    Name("conversation", "gen_ai.conversation.id", "gen_ai.conversation.id"),
    Name("session", "session.id", "session.id"),
    Name("tool_name", "gen_ai.tool.name", "gen_ai.tool.name"),
    Name("call_id", "gen_ai.tool.call.id", "gen_ai.tool.call.id"),
    Name("first_chunk", "gen_ai.response.time_to_first_chunk", "gen_ai.response.time_to_first_chunk"),
    Name("response_status", "", "gen_ai.response.status"),
)
# fmt: on

OWN: Final = {attribute.name: attribute.otel_name for attribute in ATTRIBUTES}
"""What the attribute of a mark is called."""

GIVEN: Final = {
    "provider": "gen_ai.provider.name",
    "response_model": "gen_ai.response.model",
    "response_id": "gen_ai.response.id",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
}
"""Attributes that mean nothing to us, and that the conventions have a name for: backends count tokens by it."""

NOT_SENT: Final = frozenset({"slot", "trace", "parent", "span", "span_above"})
"""Attributes of a mark that mean something in the journal only, or that the span itself says."""


_SENT_AS: Final = GIVEN | OWN | dict.fromkeys(NOT_SENT, "")
_LOWEST: Final = -(2**63)
_HIGHEST: Final = 2**63 - 1
_PLAIN: Final = (str, int, float)


def names_of(generation: Generation) -> dict[str, str]:
    """Return fact -> name in one generation."""
    return {name.fact: name.first if generation == 1 else name.second for name in NAMES}


def generation_in(environment: Mapping[str, str]) -> Generation:
    """Return which generation the environment asks for: the first unless it opts in to the second."""
    return 2 if LATEST in [word.strip() for word in environment.get(SWITCH, "").split(",")] else 1


def attributes_of(attrs: Mapping[str, object]) -> dict[str, str | int | float | bool]:
    """Return the attributes of a mark under their names of OpenTelemetry; others go under ``turnscope.attr.``."""
    sent: dict[str, str | int | float | bool] = {}
    for name, value in attrs.items():
        known = _SENT_AS.get(name)
        if known is None:
            known = f"turnscope.attr.{name}"
        if not known:
            continue
        if type(value) is int:
            # The journal has unsigned integers of 64 bits, too; an attribute has no room for them.
            sent[known] = value if _LOWEST <= value <= _HIGHEST else str(value)
        elif isinstance(value, _PLAIN):
            sent[known] = value
    return sent
