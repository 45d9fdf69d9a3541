"""OpenClaw's SQLite stores, read from a private copy: opening the original would write beside it.

Copying the file alone, or opening it as immutable, would lose every row since the last checkpoint: that lies in the
``-wal`` beside it. Tables of keys, tokens and devices are never asked for.
"""

from __future__ import annotations

import hashlib
import sqlite3
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from turnscope_analyzer.sources.objects import parse_object
from turnscope_analyzer.sources.openclaw.errors import failure_of
from turnscope_analyzer.sources.openclaw.gateway import Boot
from turnscope_analyzer.sources.openclaw.records import Entry, Where, ms_ns
from turnscope_analyzer.sources.openclaw.rows import row_of
from turnscope_analyzer.sources.openclaw.trajectory import feed_trajectory
from turnscope_analyzer.sources.opened import unpack_zstd
from turnscope_analyzer.sources.snapshot import UNREADABLE, snapshot, why

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from turnscope_analyzer.sources.openclaw.folder import Folder
    from turnscope_analyzer.sources.openclaw.rows import Row
    from turnscope_analyzer.sources.rejects import Rejects

_EVENT_BYTES: Final = 4 << 20
"""No event that OpenClaw writes is larger, unpacked."""

_ROWS: Final = "SELECT rowid, session_key, entry_json, entry_valid FROM session_nodes"
_WINDOWS: Final = "SELECT session_id, session_key FROM session_windows"
_EVENTS: Final = (
    "SELECT rowid, session_id, created_at, event_json, event_zstd FROM transcript_events ORDER BY session_id, seq"
)
_TRAJECTORY: Final = "SELECT rowid, event_json FROM trajectory_runtime_events"
_PENDING: Final = "SELECT rowid, session_key, session_id, run_id, state, accepted_at FROM session_pending_inputs"
_QUEUE: Final = "SELECT rowid, run_id, state, message_json FROM session_pending_inputs"
_BOOTS: Final = "SELECT rowid, pid, started_at_ms, completed_at_ms FROM gateway_boot_lifecycle"
_AUDIT: Final = (
    "SELECT rowid, occurred_at, action, status, run_id, session_key, session_id, tool_call_id, tool_name, error_code"
    " FROM audit_events WHERE run_id IS NOT NULL"
)
_TASKS: Final = "SELECT count(*) FROM task_runs"


class Pending(NamedTuple):
    """An input that waits, or waited, for its run; of its text only the SHA-256 is kept."""

    run_id: str
    state: str
    sha256: str
    where: Where


def read_agent_store(path: Path, folder: Folder, rejects: Rejects) -> None:
    """Read the sessions, transcripts, trajectories and queued inputs of one agent into *folder*.

    Raises:
        OSError: The file cannot be copied. Bad content never raises, it goes into *rejects*.
    """
    file = str(path)
    with snapshot(path) as store:
        folder.rows += _rows(store, file, rejects)
        for session_id, key in _select(store, _WINDOWS, rejects):
            folder.keys[_text(session_id)] = _text(key)
        for number, session_id, created_at, text, packed in _select(store, _EVENTS, rejects):
            event = parse_object(text if text is not None else unpack_zstd(packed or b"", _EVENT_BYTES))
            transcript = folder.transcripts[_text(session_id)]
            if event is None or not transcript.feed(event, Where(file, number), ms_ns(created_at)):
                rejects.add(number, "a transcript's event that cannot be read")
        for number, text in _select(store, _TRAJECTORY, rejects):
            event = parse_object(text)
            if event is None or not feed_trajectory(event, Where(file, number), folder.runs):
                rejects.add(number, "a trajectory's event that cannot be read")
        for number, key, session_id, run_id, state, accepted_at in _select(store, _PENDING, rejects):
            at_ns = ms_ns(accepted_at)
            if at_ns is None or run_id is None:
                rejects.add(number, "a queued input that cannot be read")
            else:
                entry = Entry(at_ns, "queued", "pending", Where(file, number), {"state": _text(state)})
                folder.runs[_text(run_id)].add(entry, _text(session_id), _text(key))


def read_sessions(path: Path, rejects: Rejects) -> tuple[list[Row], list[Pending]]:
    """Read the rows and the queued inputs of one agent, and nothing else of its store.

    Raises:
        OSError: The file cannot be copied. Bad content never raises, it goes into *rejects*.
    """
    with snapshot(path) as store:
        rows = list(_rows(store, str(path), rejects))
        pending = [
            Pending(_text(run_id), _text(state), hashlib.sha256(text or b"").hexdigest(), Where(str(path), number))
            for number, run_id, state, text in _select(store, _QUEUE, rejects)
        ]
    return rows, pending


def _rows(store: sqlite3.Connection, file: str, rejects: Rejects) -> Iterator[Row]:
    for number, key, text, valid in _select(store, _ROWS, rejects):
        content = parse_object(text)
        row = row_of(_text(key), content, Where(file, number), valid=valid != 0) if content is not None else None
        if row is None:
            rejects.add(number, "a session's row that cannot be read")
        else:
            yield row


def read_state_store(path: Path, folder: Folder, rejects: Rejects) -> None:
    """Read the boots, the audit and the number of background tasks of a gateway into *folder*.

    Raises:
        OSError: The file cannot be copied. Bad content never raises, it goes into *rejects*.
    """
    file = str(path)
    with snapshot(path) as store:
        for number, pid, started, completed in _select(store, _BOOTS, rejects):
            started_ns = ms_ns(started)
            if started_ns is None:
                rejects.add(number, "a gateway's start without a time")
            else:
                known = pid if type(pid) is int else None
                folder.boots.append(Boot(started_ns, ms_ns(completed), known, Where(file, number)))
        for number, at_ms, action, status, run_id, key, session_id, *about in _select(store, _AUDIT, rejects):
            at_ns = ms_ns(at_ms)
            told = None if at_ns is None else _audited(at_ns, Where(file, number), _text(action), _text(status), about)
            if told is None:
                rejects.add(number, "an audit event that cannot be read")
            else:
                folder.runs[_text(run_id)].add(told, _text(session_id) or None, _text(key) or None)
        for (count,) in _select(store, _TASKS, rejects):
            folder.tasks += count


def _audited(at_ns: int, where: Where, action: str, status: str, about: list[Any]) -> Entry | None:
    call_id, name, code = (_text(value) or None for value in about)
    what = {
        "agent.run.started": "started",
        "agent.run.finished": "finished",
        "tool.action.started": "call",
        "tool.action.finished": "result",
    }.get(action, "seen")
    if what in ("call", "result") and call_id is None:
        return None
    attrs: dict[str, Any] = {"status": status, "id": call_id, "name": name}
    return Entry(at_ns, what, "audit", where, attrs | (failure_of(code) if code else {}))


def _select(store: sqlite3.Connection, query: str, rejects: Rejects) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of *query* as far as they can be read; none where this version has no such table."""
    # A string that is no UTF-8 must not stop the rows behind it.
    store.text_factory = bytes
    try:
        yield from store.execute(query)
    except sqlite3.OperationalError as error:
        if "no such" not in str(error):
            rejects.add(0, why(error))
    except UNREADABLE as error:
        rejects.add(0, why(error))


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
