"""What is asked of the records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from turnscope_analyzer.classify import Judgement


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the records; the defaults ask for everything that is not plainly healthy.

    ``budgets`` are seconds until a phase is stuck. ``now_ns`` is the horizon to judge by. ``turn`` is a turn id or
    the begin of one. ``everything`` lists plainly healthy turns one by one. ``detailed`` turns of each
    state are listed, all when it is None; with ``stretches`` it is told where the time of those went.
    """

    budgets: Mapping[str, float] = field(default_factory=dict)
    now_ns: int | None = None
    turn: str | None = None
    session: str | None = None
    since_ns: int | None = None
    cause: str | None = None
    everything: bool = False
    detailed: int | None = None
    stretches: bool = True

    @property
    def narrows(self) -> bool:
        """Only some turns are asked for."""
        return any(value is not None for value in (self.turn, self.session, self.since_ns, self.cause))

    @property
    def closely(self) -> str | None:
        """The begin of the turn ids that are looked at closely even if they plainly went well; None for no such."""
        if self.everything or self.session is not None or self.since_ns is not None:
            return ""
        return self.turn

    def wants(self, judgement: Judgement) -> bool:
        """Tell whether the verdict is asked for."""
        facts = judgement.facts
        return (
            (self.turn is None or facts.turn_id.startswith(self.turn))
            and (self.session is None or facts.session_id == self.session)
            and (self.cause is None or judgement.cause == self.cause)
            and (self.since_ns is None or (facts.ended_ns or facts.horizon_ns) >= self.since_ns)
        )
