"""Segments written by hand, and what the analyzer says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from journal_kit import SECOND_NS, START_NS, line
from turnscope_analyzer.analyze import analyze

if TYPE_CHECKING:
    from pathlib import Path

    from turnscope_analyzer.model import Report, Verdict

NOW_NS = START_NS + 3600 * SECOND_NS


def verdicts(folder: Path, **question: Any) -> dict[str, Verdict]:
    return {verdict.turn_id: verdict for verdict in analyze([folder], **question).turns}


def told(report: Report) -> dict[str, tuple[object, ...]]:
    return {v.turn_id: (v.state, v.rule, v.phase, v.since_ns, v.confidence) for v in report.turns}


def whole_turn(turn: str, seq: int, at_s: float, **rest: Any) -> bytes:
    """Return the lines of a turn that plainly went well."""
    steps = (("accepted", "turn"), ("started", "turn"), ("upstream_sent", "upstream:1"),
             ("upstream_completed", "upstream:1"), ("completed", "turn"))  # fmt: skip
    return b"".join(
        line(seq + place, turn, phase, lane, at_s=at_s + place, **rest) for place, (phase, lane) in enumerate(steps)
    )


def stuck_turn(turn: str, seq: int, at_s: float, **rest: Any) -> bytes:
    """Return the lines of a turn that was sent and never answered."""
    steps = (("accepted", "turn"), ("started", "turn"), ("upstream_sent", "upstream:1"))
    return b"".join(
        line(seq + place, turn, phase, lane, at_s=at_s + place, **rest) for place, (phase, lane) in enumerate(steps)
    )


HEADER: dict[str, object] = {
    "turnscope": "journal", "version": 1, "proc": "feedfacecafe", "segment": 1, "t": START_NS, "m": 50 * SECOND_NS,
    "pid": 1, "pid_start": "x", "host": "elsewhere", "boot": "", "service": "", "sdk": "0.1.0", "budgets": {},
}  # fmt: skip


def header(**changes: object) -> bytes:
    return orjson.dumps(HEADER | changes, option=orjson.OPT_APPEND_NEWLINE)


def write(folder: Path, *content: bytes, name: str = "segment.jsonl") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"".join(content))
    return folder / name


TURNS = 12
LINES = header() + b"".join((whole_turn if n % 2 else stuck_turn)(f"turn{n}", 10 * n + 1, 20 * n) for n in range(TURNS))
"""A segment of turns one after the other, of which every second one is stuck."""
