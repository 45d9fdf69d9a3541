"""Contradictions in OpenClaw's stores, and what is only normal: each finding with its near misses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from openclaw_kit import KEY, SESSION, START_MS, State, at, build, judged, laid_out, read, verdict_of
from turnscope_analyzer.model import Finding

if TYPE_CHECKING:
    from pathlib import Path

NOW_S = START_MS / 1000


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / ".openclaw")


def found(state: State, second: float) -> list[str]:
    report = judged(state.root, now_s=NOW_S + second)
    return [finding.name for turn in report.turns for finding in turn.findings] + [f.name for f in report.findings]


# -- rows that say running --------------------------------------------------------------------------------


def test_a_row_that_runs_and_says_when_its_run_ended_is_a_zombie(state: State) -> None:
    state.user(0).answer(5).row(status="running", startedAt=0, endedAt=6, updatedAt=6)

    assert found(state, 6) == ["zombie_row"]


def test_a_row_whose_end_is_of_the_run_before_is_none(state: State) -> None:
    state.user(0).answer(5).user(20).row(status="running", startedAt=20, endedAt=6, updatedAt=20).lock(second=20)

    assert found(state, 100) == []


def test_a_row_that_runs_half_a_minute_after_the_answer_is_a_zombie(state: State) -> None:
    state.user(0).answer(5).row(status="running", startedAt=0, updatedAt=1)

    assert found(state, 34) == []
    assert found(state, 35) == ["zombie_row"]


def test_a_row_that_runs_after_an_error_is_none_while_the_lock_is_held(state: State) -> None:
    state.user(0).error(5, "500 internal").row(status="running", startedAt=0, updatedAt=1).lock()

    assert found(state, 600) == []
    assert verdict_of(judged(state.root, now_s=NOW_S + 600), KEY).rule == "transport.last_request_failed"


def test_a_row_that_runs_after_an_error_and_without_a_lock_is_a_zombie(state: State) -> None:
    state.user(0).error(5, "429 Rate limit reached").row(status="running", startedAt=0, updatedAt=1)

    assert found(state, 600) == ["zombie_row"]
    assert verdict_of(judged(state.root, now_s=NOW_S + 600), KEY).cause == "quota_or_auth"


def test_a_row_that_runs_behind_the_lock_of_a_process_that_is_gone_is_a_zombie(state: State) -> None:
    own = str(state.sessions / f"{SESSION}.jsonl")
    state.user(0).row(status="running", startedAt=0, updatedAt=1, sessionFile=own).lock()

    [finding] = read(state.root).findings
    assert (finding.name, finding.due_ns) == ("zombie_row", None)
    assert "the owner of its lock is gone" in finding.what


def test_a_zombie_is_proven_by_the_row_and_by_the_record_of_the_end(state: State) -> None:
    state.user(0).answer(5).row(status="running", startedAt=0, endedAt=6, updatedAt=6)

    [finding] = read(state.root).findings
    row, end = finding.proofs
    assert row.values == {
        "key": KEY,
        "sessionId": SESSION,
        "status": "running",
        "startedAt": at(0),
        "endedAt": at(6),
        "updatedAt": at(6),
    }
    assert end[1:] == (end.offset, "2026-11-21 01:00:05Z the turn ended: completed", end.values)
    assert end.file.endswith(f"{SESSION}.jsonl")


def test_a_row_that_is_done_is_none(state: State) -> None:
    state.user(0).answer(5).row(status="done", startedAt=0, endedAt=6, updatedAt=6, lastInteractionAt=0)

    assert found(state, 6000) == []


def test_a_row_that_another_program_changed_is_named(tmp_path: Path) -> None:
    store = tmp_path / "agents" / "main" / "agent" / "openclaw-agent.sqlite"
    store.parent.mkdir(parents=True)
    build(
        store, [{"table": "session_nodes", "session_key": KEY, "entry_json": {"sessionId": SESSION}, "entry_valid": 0}]
    )

    assert [finding.name for finding in read(tmp_path).findings] == ["row_needs_repair"]


# -- messages that nobody took ------------------------------------------------------------------------------

DONE: dict[str, Any] = {"status": "done", "startedAt": 0, "endedAt": 6, "updatedAt": 30}


def test_a_message_after_the_last_run_and_without_a_record_was_dropped(state: State) -> None:
    state.user(0).answer(5).row(**DONE, lastInteractionAt=30)

    assert found(state, 89) == []
    assert found(state, 90) == ["silent_drop"]
    verdict = verdict_of(judged(state.root, now_s=NOW_S + 400), KEY, 1)
    assert (verdict.state, verdict.cause, verdict.confidence) == ("stuck", "silent_drop", "possible")


def test_a_message_that_the_last_run_answered_was_not(state: State) -> None:
    state.user(0).answer(5).row(**DONE, lastInteractionAt=-30)

    assert found(state, 6000) == []


def test_a_message_that_is_in_the_transcript_was_not(state: State) -> None:
    state.user(0).answer(5).user(31).answer(33).row(**DONE, lastInteractionAt=30)

    assert found(state, 6000) == []


def test_a_message_whose_run_has_begun_was_not(state: State) -> None:
    state.user(0).answer(5).stage(35, "session.started").row(**DONE, lastInteractionAt=30)

    assert found(state, 6000) == []


def test_a_message_behind_a_lock_may_be_on_its_way(state: State) -> None:
    state.user(0).answer(5).row(**DONE, lastInteractionAt=30).lock(second=31)

    assert found(state, 6000) == []


def test_a_run_that_ends_before_its_prompt_was_dropped(state: State) -> None:
    state.stage(0, "session.started").stage(1, "context.compiled").row(status="done")
    state.stage(2, "session.ended", status="error", promptError="Context overflow: prompt too large (precheck).")

    verdict = verdict_of(judged(state.root), KEY)
    assert (verdict.state, verdict.rule) == ("failed", "silent_drop.given_up")
    assert [finding.name for finding in verdict.findings] == ["silent_drop"]


def test_a_run_that_ends_after_its_prompt_was_not(state: State) -> None:
    state.stage(0, "session.started").stage(1, "prompt.submitted")
    state.stage(2, "session.ended", status="error", promptError="Context overflow: prompt too large.")

    verdict = verdict_of(judged(state.root), KEY)
    assert (verdict.rule, verdict.findings) == ("context_length.exceeded", ())


def test_a_run_that_was_stopped_before_its_prompt_was_not(state: State) -> None:
    state.stage(0, "session.started").stage(2, "session.ended", status="error", aborted=True, externalAbort=True)

    assert verdict_of(judged(state.root), KEY).state == "cancelled"
    assert read(state.root).findings == []


# -- a second tree ------------------------------------------------------------------------------------------


def shadow_of(state: State) -> State:
    return State(state.root / "agents" / "main" / "agent" / "codex-home" / "home" / ".openclaw")


def test_a_store_in_the_shadow_of_another_is_named_and_its_turns_are_not_counted(state: State) -> None:
    state.user(0).answer(5).row(status="done", startedAt=0, endedAt=6)
    shadow_of(state).row(status=None, session="another").user(100)

    capture = read(state.root)

    assert len({mark.turn_id for mark in capture.marks}) == 1
    [finding] = capture.findings
    assert (finding.name, finding.turn_id) == ("shadow_store", None)
    assert "agent:main:main (done there, no status here)" in finding.what
    assert [proof.values["sessionId"] for proof in finding.proofs] == [SESSION, "another"]


def test_a_shadow_that_only_a_reading_tool_left_is_named_as_one(state: State) -> None:
    state.user(0).answer(5)
    trace = state.root / "agents" / "main" / "agent" / "codex-home" / "home" / ".openclaw" / "logs"
    trace.mkdir(parents=True)
    (trace / "config-health.json").write_text("{}")

    [finding] = read(state.root).findings
    assert finding == Finding("shadow_store", None, str(trace / "config-health.json"), None, finding.what)
    assert "empty" in finding.what


def test_a_shadow_that_is_a_link_to_the_store_is_none(state: State) -> None:
    state.user(0).answer(5).row(status="done", startedAt=0, endedAt=6)
    shadow = state.root / "agents" / "main" / "agent" / "codex-home" / "home" / ".openclaw" / "agents" / "main"
    shadow.mkdir(parents=True)
    (shadow / "sessions").symlink_to(state.sessions, target_is_directory=True)

    assert read(state.root).findings == []


def test_a_store_of_another_host_says_nothing_about_processes_here(tmp_path: Path) -> None:
    capture = read(laid_out("2026.4.2/killed", tmp_path))

    assert {process.fate for process in capture.processes} == {"unknown"}


def test_times_of_a_row_are_those_of_its_marks(state: State) -> None:
    state.row(status="running", startedAt=7)

    assert [mark.at_ns for mark in read(state.root).marks] == [at(7) * 1_000_000] * 2
