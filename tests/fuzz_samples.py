"""A small sample of every kind of file that can be read, for the fuzzer.

A sample is a folder of units, each a file or a folder that one run of a program left.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from bench.generate import write_process
from otlp_kit import Program, frame, line
from turnscope_analyzer.discover import JOURNAL

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

DATA: Final = Path(__file__).parent / "data"
OPENCLAW_MS: Final = 1_795_223_520_000


def copied(name: str) -> Callable[[Path], None]:
    """Return what copies the captures in tests/data under *name*, each of them a unit."""

    def make(folder: Path) -> None:
        shutil.copytree(DATA / name, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("README.md"))

    return make


def telemetry(folder: Path) -> None:
    """Write what a program exported, in three encodings, one unit each."""
    for number, name in enumerate(("spans.jsonl", "spans.binpb", "more.jsonl")):
        program = Program(first_id=0xA1 + number)
        turn = program.span("invoke_agent", 0, 9, gen_ai__operation__name="invoke_agent", gen_ai__conversation__id="c")
        program.span("chat", 1, 3, turn, gen_ai__operation__name="chat", gen_ai__request__model="m")
        program.span("execute_tool", 3, 4, turn, gen_ai__operation__name="execute_tool", gen_ai__tool__call__id="1")
        program.span("chat", 5, 8, turn, gen_ai__operation__name="chat", error="overloaded")
        program.log("gen_ai.choice", 3, turn)
        requests = (program.spans(), program.logs())
        lines = [frame(r.SerializeToString()) if name.endswith("binpb") else line(r) for r in requests]
        (folder / name).write_bytes(b"".join(lines))


def journals(folder: Path) -> None:
    """Write the journals of four processes, one of them killed, each in a folder of its own."""
    for process in range(4):
        (folder / f"process-{process}").mkdir()
        write_process(folder / f"process-{process}", "chat", 16 << 10, process, 12)


def state_folders(folder: Path) -> None:
    """Write three state folders of OpenClaw, a session each: two in files, one of them locked, and one in SQLite."""
    for number in range(3):
        session, key = f"7a09dff7-2f9f-4f3d-aa5c-b58da95f4aa{number}", f"agent:main:{number}"
        sessions = folder / f"state-{number}" / "agents" / "main" / "sessions"
        sessions.mkdir(parents=True)
        events = [*_session(session, number)]
        row = {"sessionId": session, "updatedAt": OPENCLAW_MS + 9_000, "status": "running" if number else "done"}
        (folder / f"state-{number}" / "openclaw.log").write_bytes(b"".join(_logged(session, key)))
        if number == 2:
            _store(sessions.parent / "agent", session, key, row, events)
            continue
        (sessions / f"{session}.jsonl").write_bytes(b"".join(map(_line, events)))
        (sessions / "sessions.json").write_bytes(orjson.dumps({key: row}, option=orjson.OPT_INDENT_2))
        if number:
            lock = {"pid": 4_194_999, "createdAt": _stamp(1), "starttime": 1}
            (sessions / f"{session}.jsonl.lock").write_bytes(orjson.dumps(lock))


def _session(session: str, number: int) -> Iterator[dict[str, object]]:
    """Yield a transcript's events: a turn with a tool, and one that is answered in the first session only."""
    yield {"type": "session", "version": 3, "id": session, "timestamp": _stamp(0), "cwd": "/home/user/ws"}
    call = {"type": "toolCall", "id": "call_1", "name": "exec", "arguments": {}}
    messages: list[dict[str, object]] = [
        {"role": "user", "content": [{"type": "text", "text": "hello"}]},
        {"role": "assistant", "content": [call], "model": "mock-1", "stopReason": "toolUse"},
        {"role": "toolResult", "toolCallId": "call_1", "toolName": "exec", "content": [], "isError": False},
        {"role": "assistant", "content": [{"type": "text", "text": "Done."}], "model": "mock-1", "stopReason": "stop"},
        {"role": "user", "content": [{"type": "text", "text": "again"}]},
        {"role": "assistant", "content": [], "stopReason": "error", "errorMessage": "fetch failed"},
    ]
    for at_s, message in enumerate(messages if number else messages[:4], 1):
        said = {**message, "timestamp": OPENCLAW_MS + at_s * 1_000}
        own = {"id": f"m{at_s}", "parentId": f"m{at_s - 1}", "timestamp": _stamp(at_s)}
        yield {"type": "message", **own, "message": said}


def _store(folder: Path, session: str, key: str, row: object, events: Sequence[object]) -> None:
    folder.mkdir()
    with closing(sqlite3.connect(folder / "openclaw-agent.sqlite")) as store:
        store.execute("CREATE TABLE session_nodes (session_key TEXT, entry_json TEXT, entry_valid INTEGER)")
        store.execute("CREATE TABLE session_windows (session_id TEXT, session_key TEXT)")
        store.execute(
            "CREATE TABLE transcript_events"
            " (session_id TEXT, seq INTEGER, created_at INTEGER, event_json TEXT, event_zstd BLOB)"
        )
        store.execute("INSERT INTO session_nodes VALUES (?, ?, 1)", (key, orjson.dumps(row).decode()))
        store.execute("INSERT INTO session_windows VALUES (?, ?)", (session, key))
        for seq, event in enumerate(events):
            text = orjson.dumps(event)
            kept = (None, zstd.compress(text)) if seq % 2 else (text.decode(), None)
            told = (session, seq, OPENCLAW_MS + seq * 1_000, *kept)
            store.execute("INSERT INTO transcript_events VALUES (?, ?, ?, ?, ?)", told)
        store.commit()


def _logged(session: str, key: str) -> Iterator[bytes]:
    for at_s, text in (
        (1, f"embedded run start: runId=run-1 sessionId={session} provider=mock model=mock-1"),
        (4, f"lane wait exceeded: lane=session:{key} waitedMs=2000 queueAhead=1"),
        (6, f"embedded run done: runId=run-1 sessionId={session} durationMs=5000 aborted=false"),
    ):
        meta = {"runtime": "node", "date": _stamp(at_s), "logLevelId": 3, "logLevelName": "INFO"}
        yield _line({"0": '{"subsystem":"agent"}', "1": text, "_meta": meta, "time": _stamp(at_s)})


def _line(content: object) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)


def _stamp(at_s: int) -> str:
    return f"2026-11-21T01:12:{at_s:02}.000Z"


SAMPLES: Final[Mapping[str, Callable[[Path], None]]] = {
    JOURNAL: journals,
    "codex": copied("codex"),
    "claude-code": copied("claude"),
    "openclaw": state_folders,
    "otlp": telemetry,
}
"""By kind of source, what writes its sample into an empty folder: two units or more."""
