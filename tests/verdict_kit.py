"""Marks in, verdicts out: the analyzer's SQL on a few rows, without a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from turnscope.phases import lane_kind
from turnscope_analyzer.classify import classify
from turnscope_analyzer.engine import Engine
from turnscope_analyzer.model import Gap, Process
from turnscope_analyzer.tables import (
    budget_rows,
    error_kind_rows,
    freeze_rows,
    limits_of,
    process_row,
    vocabulary,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from turnscope_analyzer.model import Fate

MS = 1_000_000


class Said(NamedTuple):
    """What was said of a turn."""

    state: str
    cause: str | None
    rule: str


class M(NamedTuple):
    """A mark in a test: lane, phase, milliseconds, attributes; the turn is ``t1`` unless it says otherwise."""

    lane: str
    phase: str
    ms: int
    attrs: Mapping[str, object] = {}
    turn: str = "t1"
    process: str = "p1"


ACCEPTED = M("turn", "accepted", 0)
STARTED = M("turn", "started", 5)
SENT = M("upstream:1", "upstream_sent", 10, {"purpose": "turn", "step": 1, "attempt": 1})
DONE = M("turn", "completed", 1000)
LATE_MS = 3_600_000
"""Past every limit."""


def process(
    process_id: str = "p1",
    *,
    fate: Fate = "running",
    now_ms: int = 0,
    requests: bool = True,
    ends: bool = True,
    frozen_ms: Sequence[tuple[int, int]] = (),
) -> Process:
    """Return a process that is known until *now_ms*."""
    return Process(
        process_id=process_id,
        source="journal" if requests else "codex",
        fate=fate,
        horizon_ns=now_ms * MS,
        horizon_why="as the test says",
        file="test",
        shows_requests=requests,
        shows_ends=ends,
        gaps=tuple(Gap(begin * MS, end * MS, "frozen") for begin, end in frozen_ms),
    )


def judge(
    marks: Iterable[M],
    *processes: Process,
    now_ms: int = 0,
    budgets: Mapping[str, float] | None = None,
    plain: int = 0,
) -> dict[str, Said]:
    """Judge *marks* with the limits of the vocabulary, or with *budgets* in seconds; *plain* more turns went well."""
    found = {}
    for judgement in judgements(marks, *processes, now_ms=now_ms, budgets=budgets, plain=plain):
        facts = judgement.facts
        found[facts.turn_id] = Said(facts.state, judgement.cause, judgement.rule.name)
    return found


def judgements(
    marks: Iterable[M],
    *processes: Process,
    now_ms: int = 0,
    budgets: Mapping[str, float] | None = None,
    plain: int = 0,
) -> list:  # type: ignore[type-arg]  # of Judgement, whose facts a test looks into
    """Judge *marks* and return the whole judgements."""
    with Engine() as engine:
        fill(engine, marks, processes or (process(now_ms=now_ms),), budgets=budgets, plain=plain)
        return classify(engine)


def fill(
    engine: Engine,
    marks: Iterable[M],
    processes: Sequence[Process],
    *,
    budgets: Mapping[str, float] | None = None,
    plain: int = 0,
) -> None:
    """Put *marks* and what is known of their processes into the input tables."""
    asked = limits_of(budgets or {})
    engine.load("vocabulary", vocabulary())
    engine.load("error_kinds", error_kind_rows())
    engine.load("plain", [{"turns": plain}])
    engine.load("processes", map(process_row, processes))
    engine.load("freezes", (row for one in processes for row in freeze_rows(one)))
    engine.load("budgets", (row for one in processes for row in budget_rows(one, asked)))
    engine.load("marks", (_row(seq, mark) for seq, mark in enumerate(marks, 1)))


def _row(seq: int, mark: M) -> dict[str, object]:
    return {
        "seq": seq,
        **mark.attrs,
        "turn_id": mark.turn,
        "session_id": "s1",
        "lane": mark.lane,
        "lane_kind": lane_kind(mark.lane),
        "phase": mark.phase,
        "at_ns": mark.ms * MS,
        "process_id": mark.process,
    }
