"""OpenClaw's databases and locks: live, packed, of dead processes; and what is private, which is not looked at."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from openclaw_kit import (
    KEY,
    SESSION,
    State,
    at,
    build,
    judged,
    laid_out,
    read,
    story,
    verdict_of,
)

LIVE = """
import os, sqlite3, sys, time
store = sqlite3.connect(sys.argv[1])
store.execute("PRAGMA journal_mode=WAL")
store.execute("PRAGMA wal_autocheckpoint=0")
store.execute("CREATE TABLE gateway_boot_lifecycle (boot_id, pid, started_at_ms, completed_at_ms)")
store.execute("CREATE TABLE audit_events (sequence INTEGER PRIMARY KEY, occurred_at, action, status, run_id,"
              " session_key, session_id, tool_call_id, tool_name, error_code)")
now_ms = int(time.time() * 1000)
store.execute("INSERT INTO gateway_boot_lifecycle VALUES ('b', ?, ?, NULL)", (os.getpid(), now_ms))
store.execute("INSERT INTO audit_events VALUES (1, ?, 'agent.run.started', 'started', 'run-1', 'agent:main:main',"
              " 's', NULL, NULL, NULL)", (now_ms,))
store.commit()
print("written", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / ".openclaw")


# -- databases ----------------------------------------------------------------------------------------------


@pytest.fixture
def gateway(tmp_path: Path) -> subprocess.Popen[str]:
    """A process that keeps the state database open, with its rows in the write-ahead log only."""
    store = tmp_path / ".openclaw" / "state" / "openclaw.sqlite"
    store.parent.mkdir(parents=True)
    writer = subprocess.Popen([sys.executable, "-c", LIVE, str(store)], stdin=-1, stdout=-1, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "written\n"
    return writer


def test_rows_that_lie_in_the_write_ahead_log_are_read_and_the_store_is_not_touched(
    gateway: subprocess.Popen[str], tmp_path: Path
) -> None:
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / ".openclaw" / "state").iterdir()}

    with gateway:
        capture = read(tmp_path / ".openclaw")
        [process] = capture.processes
        after = {path: path.stat().st_mtime_ns for path in (tmp_path / ".openclaw" / "state").iterdir()}
        gateway.communicate()

    assert story(capture, "main") == ["accepted", "started"]
    assert process.fate == "running"
    assert time.time_ns() - process.horizon_ns < 60_000_000_000
    assert after == files


@pytest.mark.parametrize(("in_place", "fate"), [(True, "killed"), (False, "unknown")])
def test_a_gateway_that_nobody_is_any_more_is_dead_where_its_folder_lies_in_its_place(
    gateway: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, in_place: bool, fate: str
) -> None:
    gateway.kill()
    gateway.communicate()
    monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path / ".openclaw") if in_place else "")

    capture = read(tmp_path / ".openclaw")

    assert [process.fate for process in capture.processes] == [fate]


def test_an_event_that_is_packed_is_read_like_any_other(tmp_path: Path) -> None:
    store = tmp_path / "agents" / "main" / "agent" / "openclaw-agent.sqlite"
    store.parent.mkdir(parents=True)
    user = {"type": "message", "id": "u", "message": {"role": "user", "timestamp": at(0), "idempotencyKey": "run:user"}}
    build(
        store,
        [
            {"table": "session_windows", "session_id": SESSION, "session_key": KEY},
            {"table": "transcript_events", "session_id": SESSION, "seq": 1, "created_at": at(1), "event_json": user,
             "packed": True},
        ],
    )  # fmt: skip

    [mark, _] = read(tmp_path).marks
    assert (mark.turn_id, mark.session_id) == ("run", KEY)


def test_a_packed_event_that_is_damaged_is_put_aside_and_the_rest_is_read(tmp_path: Path) -> None:
    folder = laid_out("2026.9.6/compaction_failed", tmp_path)
    store = sqlite3.connect(folder / "state" / "agents" / "main" / "agent" / "openclaw-agent.sqlite")
    with store:
        store.execute("UPDATE transcript_events SET event_zstd = x'28b52ffd00' WHERE event_zstd IS NOT NULL")
    store.close()

    capture = read(folder)

    assert len(capture.rejects) == 12
    assert len({mark.turn_id for mark in capture.marks}) == 12


def test_a_store_of_another_version_gives_what_it_has(tmp_path: Path) -> None:
    store = tmp_path / "state" / "openclaw.sqlite"
    store.parent.mkdir()
    build(store, [{"table": "gateway_boot_lifecycle", "boot_id": "b", "pid": 1, "started_at_ms": at(0)}])

    capture = read(tmp_path)

    assert (capture.rejects, capture.marks) == ([], [])


# -- locks --------------------------------------------------------------------------------------------------


def starttime(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="a process is known by /proc")
def test_a_lock_of_a_process_that_lives_makes_its_turn_live(state: State) -> None:
    state.user(0).row(status="running", startedAt=0).lock(os.getpid(), starttime(os.getpid()))

    assert [process.fate for process in read(state.root).processes] == ["running"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="a process is known by /proc")
@pytest.mark.parametrize(("file", "fate"), [("here", "killed"), ("/home/user/.openclaw/s.jsonl", "unknown")])
def test_a_lock_whose_id_another_process_has_now_is_of_a_dead_one_where_it_lies_in_its_place(
    state: State, file: str, fate: str
) -> None:
    path = str(state.sessions / "s.jsonl") if file == "here" else file
    state.user(0).row(status="running", startedAt=0, sessionFile=path).lock(os.getpid(), starttime(os.getpid()) - 1)

    assert [process.fate for process in read(state.root).processes] == [fate]


def test_a_dead_lock_orphans_its_turn(state: State) -> None:
    state.user(0).call(2).row(status="running", startedAt=0, sessionFile=str(state.sessions / "s.jsonl")).lock()

    verdict = verdict_of(judged(state.root), KEY)
    assert (verdict.state, verdict.rule, verdict.confidence) == ("orphaned", "process_lost.killed", "certain")


def test_a_damaged_lock_is_put_aside(state: State) -> None:
    state.user(0).row(status="running", startedAt=0)
    (state.sessions / f"{SESSION}.jsonl.lock").write_text('{"pid": 12, "createdAt"')

    assert [reject.reason for reject in read(state.root).rejects] == ["a lock that does not name its process"]


# -- what is never opened -----------------------------------------------------------------------------------


def test_keys_and_tokens_are_not_even_looked_at(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    state.user(0).answer(5).row(status="done", startedAt=0, endedAt=5)
    private = {"identity/device.json", "devices/paired.json", "credentials/x.json", "exec-approvals.json", "a.key"}
    for name in private | {"openclaw.json"}:
        path = state.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('{"gateway": {"auth": {"token": "secret"}}}')
    opened: list[str] = []
    real = Path.open

    def watched(path: Path, *args: object, **options: object) -> object:
        opened.append(path.name)
        return real(path, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", watched)
    judged(state.root)

    assert {"sessions.json", f"{SESSION}.jsonl"} <= set(opened)
    assert {Path(name).name for name in private | {"openclaw.json"}} & set(opened) == set()
