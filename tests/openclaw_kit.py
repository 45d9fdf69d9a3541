"""What the tests of the OpenClaw source share: real captures laid out as they were, and state folders made by hand."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnscope_analyzer.analyze import analyze
from turnscope_analyzer.discover import discover
from turnscope_analyzer.model import Capture
from turnscope_analyzer.sources.openclaw.home import read_openclaw

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from turnscope_analyzer.model import Report, Verdict

CAPTURES = Path(__file__).parent / "data" / "openclaw"
CASES = sorted(str(path.parent.relative_to(CAPTURES)) for path in CAPTURES.glob("*/*/truth.json"))
SHARED = Path(os.environ.get("TURNSCOPE_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
"""Captures that may not be copied into this repository; tests that need them are skipped where they are missing."""

START_MS = 1_795_222_800_000
START_NS = START_MS * 1_000_000
SECOND_NS = 1_000_000_000
LATER_S = 700
"""So long after its end a capture is judged, so that what hung in it is past its budget."""

KEY = "agent:main:main"
SESSION = "5a0d0000-0000-4000-8000-000000000001"


def laid_out(case: str, folder: Path) -> Path:
    """Copy a capture into *folder*, its databases built from their rows, and return where it lies."""
    to = folder / case.replace("/", "-")
    shutil.copytree(CAPTURES / case, to)
    (to / "truth.json").unlink(missing_ok=True)
    for rows in sorted(to.rglob("*.rows.jsonl")):
        build(rows.with_name(rows.name.removesuffix(".rows.jsonl")), map(json.loads, rows.read_text().splitlines()))
        rows.unlink()
    return to


def truth(case: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((CAPTURES / case / "truth.json").read_text())
    return told


def build(path: Path, rows: Any) -> None:
    """Write a database that holds *rows*, each with its table's name, as the gateway stores them."""
    with closing(sqlite3.connect(path)) as store, store:
        for row in rows:
            insert(store, **row)


def insert(store: sqlite3.Connection, table: str, *, packed: bool = False, **row: Any) -> None:
    """Write one row; an event that is *packed* goes into the column for those."""
    values = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in row.items()}
    if table == "transcript_events":
        text = values["event_json"]
        values |= {
            "event_json": None if packed else text,
            "event_zstd": zstd.compress(text.encode()) if packed else None,
        }
    columns = ", ".join(values)
    store.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
    store.execute(f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(values))})", list(values.values()))


def read(*paths: Path) -> Capture:
    """Read all of OpenClaw's files under *paths* into one capture."""
    return read_files(discover(list(paths)).of("openclaw"))


def read_files(files: Sequence[Path]) -> Capture:
    """Read *files* into one capture."""
    whole = Capture()
    for capture in read_openclaw(files, lambda _bytes: None):
        whole.processes += capture.processes
        whole.marks += capture.marks
        whole.rejects += capture.rejects
        whole.findings += capture.findings
        whole.names |= capture.names
        whole.left_alone += capture.left_alone
    return whole


def judged(*paths: Path, now_s: float | None = None, budgets: Mapping[str, float] | None = None) -> Report:
    """Analyse *paths* as of *now_s*, seconds since the epoch."""
    now_ns = None if now_s is None else int(now_s * 1e9)
    return analyze(list(paths), now_ns=now_ns, budgets=budgets, everything=True)


def verdict_of(report: Report, session: str, number: int = 0) -> Verdict:
    """Return the verdict on a session's turn, counted by when it was accepted; the key's last part is enough."""
    turns = [turn for turn in report.turns if turn.session_id in (session, f"agent:main:{session}")]
    return sorted(turns, key=lambda turn: turn.accepted_ns or 0)[number]


def story(capture: Capture, session: str) -> list[str]:
    """Return the phases of a session's marks in order, with the lanes of those that there may be many of."""
    marks = [mark for mark in capture.marks if mark.session_id in (session, f"agent:main:{session}")]
    return [f"{mark.phase} {mark.lane.partition(':')[2]}".rstrip() for mark in marks]


class State:
    """A state folder of 2026.4 and 2026.5 made by hand; times are seconds after the start."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sessions = root / "agents" / "main" / "sessions"
        self.sessions.mkdir(parents=True)
        self._rows: dict[str, dict[str, Any]] = {}

    def row(self, key: str = KEY, session: str = SESSION, **fields: Any) -> State:
        """Write a session's row; numbers are times."""
        times = {name: at(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
                 for name, value in fields.items()}  # fmt: skip
        self._rows[key] = {"sessionId": session, **times, "skillsSnapshot": {"prompt": "{ not a brace that counts }"}}
        (self.sessions / "sessions.json").write_text(json.dumps(self._rows))
        return self

    def user(self, second: float, **message: Any) -> State:
        return self.message(second, role="user", content=[{"type": "text", "text": "Do the thing."}], **message)

    def answer(self, second: float, text: str | None = "Done.", stop: str = "stop", **message: Any) -> State:
        content = [{"type": "text", "text": text}] if text else []
        return self.message(second, role="assistant", content=content, stopReason=stop, **message)

    def call(self, second: float, call_id: str = "call_1") -> State:
        content = [{"type": "toolCall", "id": call_id, "name": "exec", "arguments": {"command": "true"}}]
        return self.message(second, role="assistant", content=content, stopReason="toolUse")

    def result(self, second: float, call_id: str = "call_1") -> State:
        return self.message(second, role="toolResult", toolCallId=call_id, toolName="exec", content=[])

    def error(self, second: float, text: str) -> State:
        return self.message(second, role="assistant", content=[], stopReason="error", errorMessage=text)

    def message(self, second: float, **message: Any) -> State:
        return self.record("message", second, message={"timestamp": at(second), **message})

    def record(self, kind: str, second: float, **fields: Any) -> State:
        path = self.sessions / f"{SESSION}.jsonl"
        if not path.exists():
            path.write_text(
                json.dumps({"type": "session", "version": 3, "id": SESSION, "timestamp": stamp(0), "cwd": ""})
            )
        with path.open("a") as file:
            file.write("\n" + json.dumps({"type": kind, "id": f"r{second}", "timestamp": stamp(second), **fields}))
        return self

    def stage(self, second: float, kind: str, run: str = "run-1", **data: Any) -> State:
        record = {"traceSchema": "openclaw-trajectory", "schemaVersion": 1, "type": kind, "ts": stamp(second)}
        ids = {"sessionId": SESSION, "sessionKey": KEY, "runId": run}
        with (self.sessions / f"{SESSION}.trajectory.jsonl").open("a") as file:
            file.write(json.dumps({**record, **ids, "data": data}) + "\n")
        return self

    def lock(self, pid: int = 4_000_000, starttime: int = 1, second: float = 0) -> State:
        lock = {"pid": pid, "createdAt": stamp(second), "starttime": starttime}
        (self.sessions / f"{SESSION}.jsonl.lock").write_text(json.dumps(lock, indent=2))
        return self


def at(second: float) -> int:
    """Return *second* in epoch milliseconds."""
    return START_MS + int(second * 1000)


def stamp(second: float) -> str:
    """Return *second* as it stands in a file."""
    minutes, seconds = divmod(second, 60)
    return f"2026-11-21T01:{int(minutes):02}:{seconds:06.3f}Z"
