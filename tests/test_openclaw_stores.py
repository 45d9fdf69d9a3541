"""Reading OpenClaw's stores as they are: live, locked, torn, packed, damaged, and private ones not at all."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openclaw_kit import (
    CAPTURES,
    KEY,
    SESSION,
    State,
    at,
    build,
    judged,
    laid_out,
    read,
    read_files,
    stamp,
    story,
    verdict_of,
)
from turnscope_analyzer.sources.openclaw.gateway_log import is_log

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


# -- rows ---------------------------------------------------------------------------------------------------


def test_rows_before_the_damage_are_read(state: State) -> None:
    state.row("agent:main:one", "one", status="running", startedAt=1)
    state.row("agent:main:two", "two", status="running", startedAt=2)
    path = state.sessions / "sessions.json"
    path.write_bytes(path.read_bytes()[:-30])

    capture = read(state.root)

    assert {mark.session_id for mark in capture.marks} == {"agent:main:one"}
    assert len(capture.rejects) == 1


def test_a_row_names_its_place_in_the_file(state: State) -> None:
    state.row("agent:main:one", "one", status="running", startedAt=1).row("agent:main:two", "two", status="running")
    text = (state.sessions / "sessions.json").read_bytes()

    [mark, _] = read(state.root).marks

    assert json.JSONDecoder().raw_decode(text[mark.offset :].decode())[0]["sessionId"] == "one"


def test_an_empty_store_is_nothing(state: State) -> None:
    (state.sessions / "sessions.json").write_text("{}")

    assert read(state.root).marks == []


# -- transcripts --------------------------------------------------------------------------------------------


def test_a_tool_and_its_follow_up_are_two_steps(state: State) -> None:
    state.user(0).call(2).result(3).answer(9).row(status="done", startedAt=0, endedAt=9)

    assert story(read(state.root), KEY) == [
        "accepted",
        "started",
        "first_item 1",
        "upstream_completed 1",
        "tool_call call_1",
        "tool_result call_1",
        "continuation",
        "first_item 2",
        "upstream_completed 2",
        "completed",
    ]


def test_a_torn_last_line_costs_that_line(state: State) -> None:
    state.user(0).answer(5)
    path = state.sessions / f"{SESSION}.jsonl"
    path.write_bytes(path.read_bytes() + b'\n{"type":"message","timestamp":"2026-11-21T01:')

    capture = read(state.root)

    assert story(capture, SESSION)[-1] == "completed"
    assert len(capture.rejects) == 1


def test_a_transcript_that_is_packed_is_read(state: State) -> None:
    state.user(0).answer(5)
    path = state.sessions / f"{SESSION}.jsonl"
    path.with_suffix(".jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()

    assert story(read(state.root), SESSION)[-1] == "completed"


def test_a_turn_that_a_later_one_has_left_behind_was_interrupted(state: State) -> None:
    state.user(0).call(2).user(60).answer(62).row(status="done", startedAt=60, endedAt=62)

    assert verdict_of(judged(state.root), KEY).rule == "cancelled.interrupted"


def test_a_turn_that_no_lock_is_held_for_was_interrupted_long_ago(state: State) -> None:
    state.user(0).call(2).row(status="done", startedAt=-9, endedAt=-5, updatedAt=61)
    state.row("agent:main:other", "other", status="done", startedAt=50, endedAt=62, updatedAt=62)

    assert verdict_of(judged(state.root), KEY).rule == "cancelled.interrupted"


def test_a_run_that_prepares_its_prompt_has_no_lock_yet(state: State) -> None:
    state.stage(0, "session.started").row(status="done", startedAt=-9, endedAt=-5, updatedAt=20)

    assert story(read(state.root), KEY) == ["accepted", "started"]


def test_a_checkpoint_of_a_transcript_is_not_read_again(state: State) -> None:
    state.user(0).answer(5)
    path = state.sessions / f"{SESSION}.jsonl"
    path.with_name(f"{SESSION}.checkpoint.{SESSION}.jsonl").write_bytes(path.read_bytes())

    assert len({mark.turn_id for mark in read(state.root).marks}) == 1


def test_a_transcript_whose_first_line_is_damaged_is_read_in_its_place(state: State) -> None:
    state.user(0).answer(5)
    path = state.sessions / f"{SESSION}.jsonl"
    path.write_bytes(b"{" + path.read_bytes())

    capture = read(state.root)

    assert story(capture, SESSION)[-1] == "completed"
    assert len(capture.rejects) == 1


def test_a_file_that_cannot_be_read_is_put_aside(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    state.user(0).answer(5).row(status="done", startedAt=0, endedAt=5)
    real = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: _refused() if path.name == "sessions.json" else real(path))

    capture = read(state.root)

    assert [reject.reason for reject in capture.rejects] == ["cannot be read: Permission denied"]
    assert story(capture, SESSION)[-1] == "completed"


def _refused() -> bytes:
    raise PermissionError(13, "Permission denied")


# -- logs ---------------------------------------------------------------------------------------------------


def console(second: float, text: str) -> str:
    return f"{stamp(second)[:-1]}+00:00 [{text}\n"


def test_a_console_log_tells_of_the_gateways_life(state: State) -> None:
    state.user(0).call(2).row(status="running", startedAt=0).lock()
    log = state.root.parent / "console.log"
    log.write_text(
        console(-60 + 60, "gateway] listening on ws://127.0.0.1:1 (PID 77)")
        + "    at a line of a stack trace\n"
        + console(40, "gateway] received SIGTERM; shutting down")
    )

    [process] = read(state.root.parent).processes

    assert process.fate == "ended"


def test_a_stalled_call_after_a_tool_is_a_follow_up_that_was_sent(state: State) -> None:
    state.user(0).call(2).result(3).row(status="running", startedAt=0, updatedAt=4).lock()
    stalled = "stalled session: sessionId=unknown sessionKey=agent:main:main state=processing age={}s queueDepth=1"
    progress = (
        " reason=active_work classification=stalled lastProgress=model_call:started lastProgressAge={}s recovery=none"
    )
    lines = (console(second, "diagnostic] " + (stalled + progress).format(second, second - 4)) for second in (130, 160))
    (state.root.parent / "console.log").write_text("".join(lines))

    assert story(read(state.root.parent), KEY)[-3:] == ["tool_result call_1", "continuation", "upstream_sent 2"]
    assert verdict_of(judged(state.root.parent, budgets={"upstream_sent": 100}), KEY).cause == "model_stall"


def test_what_the_file_log_has_told_the_console_does_not_tell_again(tmp_path: Path) -> None:
    folder = laid_out("2026.4.2/combo_final", tmp_path)
    before = read(folder)
    lines = [json.loads(line) for line in (folder / "logs" / "openclaw-2026-11-21.log").read_text().splitlines()]
    ends = [
        line for line in lines if isinstance(line["1"], dict) and line["1"].get("event") == "embedded_run_agent_end"
    ]
    (folder / "logs" / "console.log").write_text(
        "".join(
            f"{line['time']} [agent/embedded] embedded run agent end: runId={line['1']['runId']}\n" for line in ends
        )
    )

    assert read(folder).marks == before.marks


def test_time_in_which_the_event_loop_was_blocked_is_nobodys_wait(tmp_path: Path) -> None:
    capture = read(laid_out("2026.5.22/combo_hanging", tmp_path))

    [gap] = {gap for process in capture.processes for gap in process.gaps}
    assert gap.until_ns - gap.from_ns == 2_081_000_000


@pytest.mark.parametrize("head", [b"", b'{"_meta":{}}', b"2026-11-21 [gateway] no offset", b'{"time": "now"}'])
def test_what_is_no_log_of_ours_is_left_to_others(head: bytes) -> None:
    assert not is_log(head)


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


# -- damage -------------------------------------------------------------------------------------------------

DAMAGED = sorted(
    str(path.relative_to(CAPTURES))
    for pattern in ("2026.5.22/killed/**/*", "2026.4.2/combo_final/logs/*.log", "2026.9.6/timeline/*.jsonl")
    for path in CAPTURES.glob(pattern)
    if path.is_file() and path.name != "truth.json"
)


@pytest.mark.parametrize("name", DAMAGED)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    where=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), max_size=6),
    cut=st.booleans(),
)
def test_damage_never_raises(
    tmp_path: Path, name: str, where: float, flips: list[tuple[float, int]], *, cut: bool
) -> None:
    content = bytearray((CAPTURES / name).read_bytes())
    for place, bits in flips:
        content[int(place * (len(content) - 1))] ^= bits
    folder = tmp_path / "damaged"
    path = folder / Path(*Path(name).parts[2:])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content[: int(where * len(content))] if cut else content)

    for mark in read_files([path]).marks:
        assert -(2**63) <= mark.at_ns < 2**63


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=12), cut=st.floats(0.2, 1))
def test_a_damaged_database_never_raises(tmp_path: Path, flips: list[tuple[float, int]], cut: float) -> None:
    whole = tmp_path / "whole"
    store = Path("state", "agents", "main", "agent", "openclaw-agent.sqlite")
    if not whole.exists():
        whole.mkdir()
        laid_out("2026.9.6/restarted", whole)
    content = bytearray((whole / "2026.9.6-restarted" / store).read_bytes())
    for place, bits in flips:
        # The first bytes tell that it is a database at all.
        content[16 + int(place * (len(content) - 17))] ^= bits
    damaged = tmp_path / "damaged" / store
    damaged.parent.mkdir(parents=True, exist_ok=True)
    damaged.write_bytes(content[: int(cut * len(content))])

    for mark in read_files([damaged]).marks:
        assert -(2**63) <= mark.at_ns < 2**63
