"""From marks to one judgement a turn: run the SQL, and choose between two causes that both match."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from turnscope.phases import CAUSES
from turnscope_analyzer.engine import names, statement
from turnscope_analyzer.rules import RULE

if TYPE_CHECKING:
    from turnscope.phases import Cause, Confidence
    from turnscope_analyzer.engine import Engine
    from turnscope_analyzer.rules import Rule

_GLANCE: Final = ("core/10_glance_parts", "core/11_glance", "core/12_windows")
"""The statements that look at every mark once, to find the turns that need a closer look."""

_JUDGE: Final = tuple(name for name in names("core") if name not in _GLANCE)
"""The statements that look closely, in order."""

Facts = dict[str, Any]
"""A row of ``turns`` with its row of ``standing``, by column; a turn's facts."""


class Judgement(NamedTuple):
    """A turn's facts, and the rule that decides it."""

    facts: Facts
    rule: Rule
    confidence: Confidence

    @property
    def cause(self) -> Cause | None:
        """The cause, None for a turn that needs none."""
        return self.rule.cause


def classify(engine: Engine) -> list[Judgement]:
    """Judge every turn in ``marks``.

    Returns:
        One judgement a turn, in no particular order; the same marks in any order give the same ones.
    """
    engine.build(*_JUDGE)
    claims = _claims(engine)
    facts = engine.dicts("SELECT * FROM turns INNER JOIN standing USING (turn_id)")
    return [_judge(turn, claims.get(turn["turn_id"])) for turn in facts]


def _claims(engine: Engine) -> dict[str, tuple[str, Confidence]]:
    """Return the rule that wins each turn: the lowest rank, then the order of the causes."""
    best: dict[str, tuple[str, Confidence]] = {}
    for cause in CAUSES:
        for turn_id, rule, confidence in engine.rows(statement(f"causes/{cause}")):
            held = best.get(turn_id)
            if held is None or RULE[rule].rank < RULE[held[0]].rank:
                best[turn_id] = (rule, confidence)
    return best


def _judge(facts: Facts, claim: tuple[str, Confidence] | None) -> Judgement:
    rule, confidence = claim or _untroubled(facts)
    return Judgement(facts, RULE[rule], confidence)


def _untroubled(facts: Facts) -> tuple[str, Confidence]:
    """Return the rule of a turn that no cause claims: nothing is wrong with it."""
    match facts["state"]:
        case "waiting" if facts["wait_phase"] == "awaiting_approval":
            return "waiting.approval", "certain"
        case "waiting":
            return "waiting.tool", "likely"
        case "cancelled" if facts["ended_phase"] == "interrupted":
            return "cancelled.interrupted", "likely"
        case "cancelled":
            return "cancelled.stopped", "certain"
        case _:
            done = facts["ended_phase"] is not None
            return ("healthy.completed", "certain") if done else ("healthy.in_progress", "certain")
