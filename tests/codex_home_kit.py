"""Codex homes for tests: real runs as they were recorded, put back into the databases that they came from."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from codex_kit import CAPTURES
from turnscope.phases import PHASES
from turnscope_analyzer.analyze import analyze

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from turnscope_analyzer.model import Report, Verdict

THREAD = "01a1fba3-8044-7381-b581-b20b3f54ce8a"
TURN = "01a1fba3-8044-7381-b581-b20b3f54ce8b"
S = 1_000_000_000

HOLDER = """
import fcntl, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""
"""Holds the lock that its argument names, until its input ends."""

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


def stamp(at_ns: int) -> str:
    moment = datetime.fromtimestamp(at_ns // S, timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ns % S // 1_000_000:03}Z"


def write_open_turn(home: Path, at_ns: int, folder: str = "sessions") -> Path:
    """Write a thread with one turn that was prompted and has not ended, its records at *at_ns*."""
    path = home / folder / "2026" / "11" / "21" / f"rollout-2026-11-21T01-00-00-{THREAD}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [
        ("session_meta", {"id": THREAD}),
        ("event_msg", {"type": "task_started", "turn_id": TURN, "trace_id": "0" * 32, "started_at": at_ns // S}),
        ("event_msg", {"type": "user_message", "message": "Please do the thing."}),
    ]
    lines = [json.dumps({"timestamp": stamp(at_ns), "type": kind, "payload": body}) for kind, body in records]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def leave_lock(home: Path) -> Path:
    lock = home / "thread-writer-locks" / f"{THREAD}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    (lock.parent / ".coordination.lock").touch()
    return lock


@contextmanager
def held(lock: Path) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdin=-1, stdout=-1, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
    finally:
        process.kill()
        process.communicate()
