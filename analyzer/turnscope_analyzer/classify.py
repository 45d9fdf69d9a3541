"""From marks to one judgement a turn: run the SQL, and choose between two causes that both match."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope.phases import CAUSES
from turnscope_analyzer.engine import names, statement
from turnscope_analyzer.rules import RULE

if TYPE_CHECKING:
    from turnscope.phases import Cause, Confidence, State
    from turnscope_analyzer.engine import Engine
    from turnscope_analyzer.model import Fate
    from turnscope_analyzer.rules import Rule

_GLANCE: Final = tuple(name for name in names("core") if name < "core/20_turn_phases")
"""The statements that look at every mark once, to find the turns that need a closer look."""

_USUAL: Final = ("core/20_turn_phases", "core/30_lives", "core/32_worst", "core/33_usual")
"""The statements that tell which waits are usual; they are needed even where no turn is left to judge."""

_JUDGE: Final = tuple(name for name in names("core") if name not in (*_GLANCE, *_USUAL))
"""The statements that judge each turn, in order."""


class Facts(NamedTuple):
    """A row of ``facts``; core/60_facts says what each column means. Times are ns, None where there is none."""

    turn_id: str
    session_id: str | None
    source: str
    process_id: str
    fate: Fate
    horizon_ns: int
    accepted_ns: int | None
    ended_phase: str | None
    ended_ns: int | None
    ended_seq: int | None
    recovered_ns: int | None
    wait_phase: str | None
    wait_seq: int | None
    wait_silent_ns: int | None
    wait_step: int | None
    failed_attempts: int | None
    failure_error: str | None
    failure_seq: int | None
    attached: int | None
    seen: int | None
    sent: int | None
    cancel: str | None
    state: State
    lane: str | None
    phase: str | None
    since_ns: int | None
    seq: int | None
    age_ns: int | None
    error_type: str | None


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
    engine.build(*_USUAL)
    if not engine.rows("SELECT 1 FROM lives LIMIT 1"):
        return []
    engine.build(*_JUDGE)
    claims = _claims(engine)
    rows = engine.rows(f"SELECT {', '.join(Facts._fields)} FROM facts")
    return [_judge(facts, claims.get(facts.turn_id)) for facts in map(Facts._make, rows)]


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
    match facts.state:
        case "waiting" if facts.wait_phase == "awaiting_approval":
            return "waiting.approval", "certain"
        case "waiting":
            return "waiting.tool", "likely"
        case "cancelled" if facts.ended_phase == "interrupted" and facts.cancel != "cancelled":
            return "cancelled.interrupted", "likely"
        case "cancelled":
            return "cancelled.stopped", "certain"
        case _:
            done = facts.ended_phase is not None
            return ("healthy.completed", "certain") if done else ("healthy.in_progress", "certain")
