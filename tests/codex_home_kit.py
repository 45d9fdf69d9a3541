"""Codex homes for tests: real runs as they were recorded, put back into the databases that they came from."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from codex_kit import CAPTURES
from turnscope.phases import PHASES
from turnscope_analyzer.analyze import analyze

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from turnscope_analyzer.model import Report, Verdict

HOMES = CAPTURES / "homes"
LogRow = list[object]
"""id, ts, ts_nanos, target, thread_id, process_uuid, feedback_log_body"""

SCHEMA = """
    CREATE TABLE logs (
        id INTEGER PRIMARY KEY AUTOINCREMENT, ts INTEGER NOT NULL, ts_nanos INTEGER NOT NULL, level TEXT NOT NULL,
        target TEXT NOT NULL, feedback_log_body TEXT, module_path TEXT, file TEXT, line INTEGER, thread_id TEXT,
        process_uuid TEXT, estimated_bytes INTEGER NOT NULL DEFAULT 0
    )
"""
INSERT = """
    INSERT INTO logs (id, ts, ts_nanos, level, target, thread_id, process_uuid, feedback_log_body)
    VALUES (?, ?, ?, 'TRACE', ?, ?, ?, ?)
"""
TURNS = "CREATE TABLE thread_turns (thread_id TEXT, turn_id TEXT, rollout_ordinal INTEGER, status TEXT)"

SHORT = {phase.name: 3.5 for phase in PHASES if phase.stuck_after_s} | {"tool_call": 300.0}
"""Budgets for runs whose stalls lasted seconds."""


def recorded_rows(name: str) -> list[LogRow]:
    """Return the log's rows of a run."""
    return [json.loads(line) for line in (HOMES / name / "logs.jsonl").read_text("utf-8").splitlines()]


def write_logs(path: Path, rows: Iterable[LogRow]) -> Path:
    """Write a log database with *rows*, in the mode in which Codex writes it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(SCHEMA)
        connection.executemany(INSERT, rows)
        connection.commit()
    return path


def write_turns(path: Path, rows: Iterable[Sequence[str | int]]) -> Path:
    """Write an index of turns: thread, turn, ordinal, status."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(TURNS)
        connection.executemany("INSERT INTO thread_turns VALUES (?, ?, ?, ?)", rows)
        connection.commit()
    return path


def recorded_home(
    name: str, folder: Path, keep: Callable[[LogRow], bool] = lambda _row: True, *, logs: bool = True
) -> Path:
    """Put the home of a run into *folder*, with those rows of its log that are to be *kept*, and return it."""
    home = folder / ".codex"
    sessions = home / "sessions" / "2026" / "11" / "21"
    sessions.mkdir(parents=True)
    for rollout in (HOMES / name).glob("rollout-*.jsonl"):
        shutil.copy(rollout, sessions)
    if logs:
        write_logs(home / "logs_2.sqlite", filter(keep, recorded_rows(name)))
    turns = HOMES / name / "thread_turns.json"
    if turns.exists():
        write_turns(home / "thread_history_1.sqlite", json.loads(turns.read_text("utf-8")))
    return home


def report_of(home: Path, now_ns: int | None = None) -> Report:
    """Analyse a home with short budgets."""
    return analyze([home], budgets=SHORT, everything=True, now_ns=now_ns)


def verdicts(home: Path, now_ns: int | None = None) -> list[Verdict]:
    """Return the verdicts on the turns of a home in the order in which the turns were accepted."""
    return sorted(report_of(home, now_ns).turns, key=lambda verdict: verdict.accepted_ns or 0)
