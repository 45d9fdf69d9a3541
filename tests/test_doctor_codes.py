"""Each code of the doctor by itself, with its near misses: homes made by hand."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from codex_home_kit import (
    THREAD,
    TURN,
    held,
    leave_lock,
    stamp,
    write_open_turn,
    write_turns,
)
from doctor_kit import checked, found, the
from helpers import run_python
from openclaw_kit import KEY, SESSION, START_MS, State, build
from turnscope_analyzer.doctor import openclaw

if TYPE_CHECKING:
    from pathlib import Path

NOW_S = START_MS / 1000
Record = tuple[str, dict[str, Any]]


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / ".openclaw")


# -- rows ---------------------------------------------------------------------------------------------------


def test_a_message_just_accepted_is_not_lost_and_a_minute_later_it_is(state: State) -> None:
    state.user(0).answer(5).row(status="done", startedAt=0, endedAt=6, updatedAt=30, lastInteractionAt=30)

    assert the(checked(state.root, now_s=NOW_S + 89), "SILENT_DROP").severity == "warning"
    assert the(checked(state.root, now_s=NOW_S + 90), "SILENT_DROP").severity == "error"


def test_a_store_in_its_own_place_is_judged_as_of_now(state: State) -> None:
    own = str(state.sessions / f"{SESSION}.jsonl")
    state.user(0).answer(5).row(status="done", startedAt=0, endedAt=6, lastInteractionAt=30, sessionFile=own)

    checkup = checked(state.root)

    assert checkup.horizon_ns is not None
    assert abs(time.time_ns() - checkup.horizon_ns) < 60e9
    assert the(checkup, "SILENT_DROP").severity == "error"


def full(state: State, tokens: int, **fields: object) -> list[str]:
    rows = {KEY: {"sessionId": SESSION, "status": "done", "totalTokens": tokens, "contextTokens": 1000, **fields}}
    (state.sessions / "sessions.json").write_text(json.dumps(rows))
    state.user(0).answer(5)
    return found(checked(state.root))


def test_a_window_that_is_nearly_full_and_was_never_compacted_is_too_large(state: State) -> None:
    assert full(state, 800, compactionCount=0) == ["warning OVERSIZED_THREAD"]
    assert full(state, 799, compactionCount=0) == []
    assert full(state, 900, compactionCount=1) == []
    assert full(state, 900, compactionCount=0, totalTokensFresh=False) == []


def test_two_keys_with_one_session_are_named_and_the_run_of_a_schedule_is_none(state: State) -> None:
    state.user(0).answer(5).row(status="done").row("agent:main:other", status="done")
    schedule = "agent:main:cron:nightly"

    one = the(checked(state.root), "DUPLICATE_SESSION_ID")
    assert [record.values["key"] for record in one.records] == [KEY, "agent:main:other"]

    state._rows.clear()
    state.row(schedule, status="done").row(f"{schedule}:run:{SESSION}", status="done")
    assert found(checked(state.root)) == []


def test_a_row_that_another_program_changed_is_refused(tmp_path: Path) -> None:
    store = tmp_path / "agents" / "main" / "agent" / "openclaw-agent.sqlite"
    store.parent.mkdir(parents=True)
    row = {"session_key": KEY, "entry_json": {"sessionId": SESSION, "status": "done"}, "entry_valid": 0}
    build(store, [{"table": "session_nodes", **row}])

    assert found(checked(tmp_path)) == ["error ROW_REFUSED"]


def test_an_input_that_was_taken_out_of_the_queue_is_lost_and_its_hash_is_told(tmp_path: Path) -> None:
    store = tmp_path / "agents" / "main" / "agent" / "openclaw-agent.sqlite"
    store.parent.mkdir(parents=True)
    ids = {"session_key": KEY, "session_id": SESSION, "run_id": "run-7"}
    build(
        store,
        [
            {
                "table": "session_pending_inputs",
                **ids,
                "state": "interrupted",
                "accepted_at": START_MS,
                "message_json": '{"text":"hello"}',
            }
        ],
    )

    [lost] = the(checked(tmp_path), "SILENT_DROP").lost
    assert lost == (
        START_MS * 1_000_000,
        KEY,
        "run-7",
        hashlib.sha256(b'{"text":"hello"}').hexdigest(),
    )


def test_the_lock_of_a_process_that_is_gone_is_stale_on_its_own_host_only(state: State) -> None:
    own = str(state.sessions / f"{SESSION}.jsonl")
    state.user(0).answer(5).row(status="done", startedAt=0, endedAt=6).lock()
    assert "warning STALE_LOCK" not in found(checked(state.root, now_s=NOW_S + 9))

    state.row(status="done", startedAt=0, endedAt=6, sessionFile=own)
    one = the(checked(state.root, now_s=NOW_S + 9), "STALE_LOCK")
    assert one.records[0].values == {"pid": 4_000_000, "starttime": 1}


def test_the_lock_of_a_process_that_lives_is_not_stale(state: State) -> None:
    own = str(state.sessions / f"{SESSION}.jsonl")
    with open("/proc/self/stat", "rb") as stat:  # noqa: PTH123 -- of the system
        ticks = int(stat.read().rpartition(b")")[2].split()[19])
    state.user(0).row(status="running", startedAt=0, sessionFile=own).lock(os.getpid(), ticks)

    checkup = checked(state.root)

    assert [one for one in found(checkup) if "LOCK" in one or "ZOMBIE" in one] == []
    assert checkup.restart.safety == "unsafe"
    assert [store.live for store in checkup.stores] == [True]


def test_the_same_session_in_two_homes_is_a_split_brain_only_where_it_differs(tmp_path: Path) -> None:
    one, two = State(tmp_path / "a" / ".openclaw"), State(tmp_path / "b" / ".openclaw")
    one.row(status="done", updatedAt=5)
    two.row(status="done", updatedAt=5)
    rows = [checked(one.root).rows, checked(two.root).rows]
    assert list(openclaw.split(rows)) == []

    two.row(status="running", updatedAt=9)
    [told] = openclaw.split([checked(one.root).rows, checked(two.root).rows])
    assert (told.code, told.severity) == ("SPLIT_BRAIN", "warning")
    assert f"{two.sessions / 'sessions.json'} was written last" in told.what


def test_two_profiles_with_the_same_key_are_none(tmp_path: Path) -> None:
    one, two = State(tmp_path / "a" / ".openclaw"), State(tmp_path / "b" / ".openclaw")
    one.row(session="s-1", status="done", updatedAt=5)
    two.row(session="s-2", status="running", updatedAt=9)

    assert list(openclaw.split([checked(one.root).rows, checked(two.root).rows])) == []


def test_a_shadow_that_only_a_reading_tool_left_is_a_warning(state: State) -> None:
    state.user(0).answer(5)
    trace = state.root / "agents" / "main" / "agent" / "codex-home" / "home" / ".openclaw" / "logs"
    trace.mkdir(parents=True)
    (trace / "config-health.json").write_text("{}")

    assert found(checked(state.root)) == ["warning SHADOW_STORE"]


def test_a_shadow_with_sessions_of_its_own_is_an_error(state: State) -> None:
    state.user(0).answer(5).row(status="done", startedAt=0, endedAt=6)
    shadow = State(state.root / "agents" / "main" / "agent" / "codex-home" / "home" / ".openclaw")
    shadow.row("agent:main:another", session="another", status="done")

    assert found(checked(state.root)) == ["error SHADOW_STORE"]


# -- turns --------------------------------------------------------------------------------------------------


def records(home: Path, *bodies: Record, thread: str = THREAD) -> Path:
    path = home / "sessions" / "2026" / "11" / "21" / f"rollout-2026-11-21T01-00-00-{thread}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({"timestamp": stamp((START_MS + n * 1000) * 1_000_000), "type": kind, "payload": body})
        for n, (kind, body) in enumerate((("session_meta", {"id": thread}), *bodies))
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def started(turn_id: str = TURN) -> Record:
    return ("event_msg", {"type": "task_started", "turn_id": turn_id, "trace_id": "0" * 32})


PROMPT: Record = ("event_msg", {"type": "user_message", "message": "Please."})
CALL: Record = ("response_item", {"type": "function_call", "name": "exec", "call_id": "call_1", "arguments": "{}"})
OUTPUT: Record = ("response_item", {"type": "function_call_output", "call_id": "call_1", "output": "ok"})
DONE: Record = ("event_msg", {"type": "task_complete", "turn_id": TURN, "last_agent_message": "Done."})


def test_a_call_without_a_result_in_a_turn_that_has_ended_dangles(tmp_path: Path) -> None:
    records(tmp_path, started(), PROMPT, CALL, DONE)
    one = the(checked(tmp_path), "DANGLING_TOOL_CALL")
    assert one.records[0].values == {"call_id": "call_1", "name": "exec"}

    records(tmp_path, started(), PROMPT, CALL, OUTPUT, DONE)
    assert found(checked(tmp_path)) == []


def test_a_turn_whose_writer_has_left_its_lock_is_an_orphan_and_so_is_the_lock(tmp_path: Path) -> None:
    lock = leave_lock(tmp_path)
    write_open_turn(tmp_path, time.time_ns())
    with held(lock):
        assert [one for one in found(checked(tmp_path)) if "ORPHAN" in one or "LOCK" in one] == []

    assert found(checked(tmp_path)) == ["error ORPHAN_TURN", "note STALE_LOCK"]


def test_a_turn_that_nobody_can_tell_of_is_a_warning(tmp_path: Path) -> None:
    write_open_turn(tmp_path, START_MS * 1_000_000)

    assert found(checked(tmp_path)) == ["warning ORPHAN_TURN"]


def test_a_turn_that_the_index_calls_in_progress_is_over(tmp_path: Path) -> None:
    records(tmp_path, started(), PROMPT, DONE)
    write_turns(tmp_path / "thread_history_1.sqlite", [(THREAD, TURN, 1, "inProgress")])

    assert found(checked(tmp_path)) == ["warning TERMINAL_BUT_STREAMING"]


def test_records_of_a_turn_behind_its_end_are_named(tmp_path: Path) -> None:
    item = {"type": "item_completed", "turn_id": TURN, "item": {"type": "AgentMessage"}}
    records(tmp_path, started(), PROMPT, DONE, ("event_msg", item))
    assert "goes on with turn" in the(checked(tmp_path), "TERMINAL_BUT_STREAMING").what

    # What a tool came to is written when it is gone, after an aborted turn.
    aborted = ("event_msg", {"type": "turn_aborted", "turn_id": TURN, "reason": "interrupted"})
    records(tmp_path, started(), PROMPT, aborted, ("event_msg", item))
    assert found(checked(tmp_path)) == []


STOPPED = """
import turnscope

turnscope.configure("traces")
with turnscope.turn(session="s", turn_id="t-1"):
    with turnscope.cancel() as stop:
        stop.result({result!r})
"""


@pytest.mark.parametrize(
    ("result", "severity"),
    [("still_running", "error"), ("failed", "error"), ("unknown", "warning"), ("already_completed", None)],
)
def test_a_stop_that_came_to_nothing_is_named(result: str, severity: str | None, tmp_path: Path) -> None:
    run_python(STOPPED.format(result=result), tmp_path)

    stops = [one for one in checked(tmp_path).diagnoses if one.code == "STOP_WITHOUT_EFFECT"]

    assert [one.severity for one in stops] == ([severity] if severity else [])


# -- files --------------------------------------------------------------------------------------------------


def test_records_that_cannot_be_read_are_counted_by_file(tmp_path: Path) -> None:
    rollout = records(tmp_path, started(), PROMPT, DONE)
    rollout.write_text(rollout.read_text("utf-8") + '{"broken\n{"timestamp": 1}\n', "utf-8")

    one = the(checked(tmp_path), "CORRUPT_RECORDS")
    assert (len(one.records), one.figures) == (2, {"records": 2})


def test_two_rollouts_of_one_thread_are_named_and_a_copy_is_none(tmp_path: Path) -> None:
    rollout = records(tmp_path, started(), PROMPT, DONE)
    archived = tmp_path / "archived_sessions"
    archived.mkdir()
    shutil.copy(rollout, archived)
    assert found(checked(tmp_path)) == []

    shutil.copy(rollout, rollout.with_name(f"rollout-2026-11-21T02-00-00-{THREAD}-{TURN}.jsonl"))
    assert found(checked(tmp_path)) == ["warning DUPLICATE_SESSION_ID"]


def threads(path: Path, *rows: tuple[str, str]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE threads (id TEXT, rollout_path TEXT, archived INTEGER)")
        connection.executemany("INSERT INTO threads VALUES (?, ?, 0)", rows)
        connection.commit()
    return path


def test_a_list_and_the_rollouts_are_held_against_each_other(tmp_path: Path) -> None:
    rollout = records(tmp_path, started(), PROMPT, DONE)
    state = threads(tmp_path / "state_5.sqlite", (THREAD, str(rollout)))
    assert found(checked(tmp_path)) == []

    state.unlink()
    threads(state, ("gone", str(rollout.with_name("rollout-gone.jsonl"))))
    missing, unlisted = (one for one in checked(tmp_path).diagnoses if one.code == "INDEX_FILE_MISMATCH")
    assert (missing.severity, missing.records[0].values) == ("warning", {"id": "gone"})
    assert (unlisted.severity, unlisted.records[0].file) == ("note", str(rollout))


def test_two_lists_of_one_home_that_differ_are_a_split_brain(tmp_path: Path) -> None:
    rollout = records(tmp_path, started(), PROMPT, DONE)
    threads(tmp_path / "state_5.sqlite", (THREAD, str(rollout)))
    other = threads(tmp_path / "sqlite" / "state_5.sqlite", (THREAD, str(rollout)))
    assert found(checked(tmp_path)) == []

    other.unlink()
    threads(other, (THREAD, str(rollout)), ("another", "/elsewhere"))
    assert found(checked(tmp_path)) == ["warning SPLIT_BRAIN"]
