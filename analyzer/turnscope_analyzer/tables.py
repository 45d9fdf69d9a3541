"""Rows of the input tables: the vocabulary, and what a source gave, as the SQL reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from turnscope.attributes import ERROR_KINDS
from turnscope.phases import PHASE, PHASES, lane_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from turnscope_analyzer.model import Mark, Process

Row = dict[str, object]
Limits = tuple[float, float]
"""Seconds until slow, seconds until stuck."""

_NS: Final = 1_000_000_000

_WAIT_ORDER: Final = ("awaiting_quota", "awaiting_approval", "compaction", "hydration", "tool", "upstream")
"""Which of several open lanes a turn waits in: first what only a date or a person can end, then the innermost work."""


def vocabulary() -> Iterator[Row]:
    """Yield the rows of ``vocabulary``."""
    for phase in PHASES:
        by_name = _WAIT_ORDER.index(phase.name) if phase.name in _WAIT_ORDER else len(_WAIT_ORDER)
        by_lane = _WAIT_ORDER.index(phase.lane) if phase.lane in _WAIT_ORDER else len(_WAIT_ORDER)
        yield {
            "phase": phase.name,
            "terminal": phase.terminal,
            "slow_after_ns": None if phase.slow_after_s is None else int(phase.slow_after_s * _NS),
            "stuck_after_ns": None if phase.stuck_after_s is None else int(phase.stuck_after_s * _NS),
            "wait_rank": min(by_name, by_lane),
        }


def limits_of(stuck_after: Mapping[str, float]) -> dict[str, Limits]:
    """Return slow and stuck limits from stuck ones alone; the slow one keeps the proportion that it has by default."""
    pairs = {}
    for name, stuck in stuck_after.items():
        phase = PHASE[name]
        share = phase.slow_after_s / phase.stuck_after_s if phase.slow_after_s and phase.stuck_after_s else 0.4
        pairs[name] = (stuck * share, stuck)
    return pairs


def plain_below_ns(configured: Iterable[Mapping[str, Limits]]) -> int:
    """Return a time so short that no turn below it can hold a wait that matters, not even for the usual p99."""
    own = [phase for phase in PHASES if phase.lane not in {"renderer", "cancel"}]
    limits = [(p.slow_after_s, p.stuck_after_s) for p in own if p.slow_after_s and p.stuck_after_s]
    limits += [budgets[phase.name] for budgets in configured for phase in own if phase.name in budgets]
    return int(min(min(slow, stuck / 3) for slow, stuck in limits) * _NS)


def mark_row(mark: Mark) -> Row:
    """Return the row of ``marks`` for *mark*; an attribute without a column is left out when it is loaded."""
    return {
        **mark.attrs,
        "turn_id": mark.turn_id,
        "session_id": mark.session_id,
        "lane": mark.lane,
        "lane_kind": lane_kind(mark.lane),
        "phase": mark.phase,
        "at_ns": mark.at_ns,
        "seq": mark.seq,
        "process_id": mark.process_id,
    }


def process_row(process: Process) -> Row:
    """Return the row of ``processes`` for *process*."""
    return {
        "process_id": process.process_id,
        "source": process.source,
        "fate": process.fate,
        "horizon_ns": process.horizon_ns,
        "shows_requests": process.shows_requests,
        "shows_ends": process.shows_ends,
    }


def freeze_rows(process: Process) -> Iterator[Row]:
    """Yield the rows of ``freezes`` for *process*."""
    for gap in process.gaps:
        yield {"process_id": process.process_id, "from_ns": gap.from_ns, "until_ns": gap.until_ns}


def budget_rows(process: Process, asked: Mapping[str, Limits]) -> Iterator[Row]:
    """Yield the rows of ``budgets`` for *process*: its own limits, and before them those that the user asks for."""
    for phase, (slow, stuck) in {**process.budgets, **asked}.items():
        yield {
            "process_id": process.process_id,
            "phase": phase,
            "slow_after_ns": int(slow * _NS),
            "stuck_after_ns": int(stuck * _NS),
        }


def error_kind_rows() -> Iterator[Row]:
    """Yield the rows of ``error_kinds``."""
    return ({"error_type": kind.name, "cause": kind.cause} for kind in ERROR_KINDS)
