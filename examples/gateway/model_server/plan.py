"""What the model is to do with each request of a turn, as a line of text that travels with the request.

``call run date; reset; text`` answers the first request with a tool call, resets the second, answers the third,
and repeats its last step from there on.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

PLAN_KEYS = {"turn": "plan", "compaction": "compaction_plan"}
"""Purpose of a request -> the key of its metadata that holds the plan."""


class Step(NamedTuple):
    """One step of a plan: the name of a behaviour, and what it takes as its argument."""

    name: str
    argument: str


class Ask(NamedTuple):
    """What a request says about itself in ``metadata``; a client that sends none gets the server's plan."""

    turn: str
    purpose: str
    plan: str
    model: str

    @classmethod
    def of(cls, body: Mapping[str, Any], default_plan: str) -> Ask:
        """Read the request's own words."""
        metadata = body.get("metadata") or {}
        purpose = metadata.get("purpose", "turn")
        plan = metadata.get(PLAN_KEYS[purpose]) or default_plan
        return cls(metadata.get("turn", ""), purpose, plan, body.get("model", "example-model"))


class ToolUse(NamedTuple):
    """One tool call that the model makes; *arguments* is a JSON text, as in the API."""

    name: str
    arguments: str


def steps(plan: str) -> list[Step]:
    """Split *plan* at its semicolons."""
    return [Step(*part.strip().partition(" ")[::2]) for part in plan.split(";") if part.strip()]


def tool_uses(argument: str) -> list[ToolUse]:
    """Split the argument of ``call`` at its ``+``: ``run date + read_file notes.txt`` makes two parallel calls.

    What follows a tool's name is its ``input``, or, when it begins with ``{``, all of its arguments.
    """
    uses = []
    for part in argument.split(" + "):
        name, _, given = part.strip().partition(" ")
        uses.append(ToolUse(name, given if given.startswith("{") else json.dumps({"input": given})))
    return uses
