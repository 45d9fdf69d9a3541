"""Which turns a rollout has, what is known of its process, and which files are rollouts."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from codex_kit import START_NS, THREAD, Rollout, last, record_at, story, turns_of
from turnscope_analyzer.sources.codex.records import is_rollout
from turnscope_analyzer.sources.codex.rollout import open_files

if TYPE_CHECKING:
    from pathlib import Path

SECOND_NS = 1_000_000_000


@pytest.fixture
def rollout(tmp_path: Path) -> Rollout:
    return Rollout(tmp_path / f"rollout-2026-11-21T01-00-00-{THREAD}.jsonl").meta()


# -- turns ------------------------------------------------------------------------------------------------


def test_versions_without_starts_and_ends_give_turns_by_their_prompts(rollout: Rollout) -> None:
    read = rollout.prompt().count(None).answer().prompt().count(None).read()

    assert list(turns_of(read)) == [f"{THREAD}:1", f"{THREAD}:2"]
    assert story(read, 0) == ["accepted", "started", "response_headers 1", "first_item 1"]
    assert [process.shows_ends for process in read.processes] == [False]


def test_a_file_that_went_on_under_a_newer_version_keeps_the_old_turns_apart(rollout: Rollout) -> None:
    read = rollout.prompt().answer().started("t2").prompt().answer().complete("t2").read()

    assert [(p.process_id, p.shows_ends) for p in read.processes] == [
        (f"codex:{THREAD}", True),
        (f"codex:{THREAD}:untracked", False),
    ]
    assert {mark.turn_id: mark.process_id for mark in read.marks} == {
        f"{THREAD}:1": f"codex:{THREAD}:untracked",
        "t2": f"codex:{THREAD}",
    }
    assert "interrupted" not in story(read, 0)


def test_a_prompt_written_just_before_its_turn_belongs_to_it(rollout: Rollout) -> None:
    read = rollout.prompt().started("t1").answer().complete("t1").read()

    assert list(turns_of(read)) == ["t1"]


def test_a_turn_copied_from_the_parent_is_not_this_threads(rollout: Rollout) -> None:
    parent, older = "01a1fba0-0000-7000-8000-000000000000", "01a1fba1-0000-7000-8000-000000000000"
    own = "01a1fba3-9000-7000-8000-000000000000"

    read = rollout.meta(parent).started(older).prompt().started(own).prompt().answer().complete(own).read()

    assert list(turns_of(read)) == [own]
    assert read.processes[0].process_id == f"codex:{THREAD}"


def test_a_session_meta_at_each_resume_changes_nothing(rollout: Rollout) -> None:
    read = rollout.started("t1").prompt().answer().complete("t1").meta().started("t2").prompt().read()

    assert list(turns_of(read)) == ["t1", "t2"]
    assert read.marks[-1].session_id == THREAD


def test_an_open_turn_that_the_user_rolled_back_is_not_lost(rollout: Rollout) -> None:
    read = rollout.started("t1").prompt().add("event_msg", "thread_rolled_back", num_turns=1).read()

    assert last(read, "interrupted").attrs == {"kind": "thread_rolled_back"}


def test_an_abort_without_a_turn_id_ends_the_open_turn(rollout: Rollout) -> None:
    read = rollout.prompt().answer().add("event_msg", "turn_aborted", reason="interrupted").prompt().read()

    assert story(read, 0)[-1] == "interrupted"
    assert story(read, 1) == ["accepted", "started"]


def test_the_end_of_an_older_turn_is_found_after_a_newer_one_began(rollout: Rollout) -> None:
    read = rollout.started("t1").prompt().started("t2").prompt().complete("t1").read()

    assert story(read, 0)[-1] == "completed"
    assert "recovered" not in last(read, "completed").attrs


def test_an_uncounted_record_just_before_an_abort_is_no_failed_attempt(rollout: Rollout) -> None:
    read = rollout.started("t1").prompt().count(None).add("event_msg", "turn_aborted", turn_id="t1").read()

    assert story(read) == ["accepted", "started", "interrupted"]


def test_settings_written_before_the_next_turn_do_not_prolong_a_lost_one(rollout: Rollout) -> None:
    read = rollout.started("t1").prompt().add("event_msg", "thread_settings_applied").started("t2").read()

    assert record_at(str(rollout.path), last(read, "interrupted").offset)["payload"]["type"] == "user_message"


def test_a_trace_that_several_turns_share_names_none(rollout: Rollout) -> None:
    rollout.started("t1").prompt().answer().complete("t1").started("t2").prompt()

    assert rollout.read().names == {}


# -- the process ------------------------------------------------------------------------------------------


def test_a_rollout_shows_neither_requests_nor_what_became_of_its_process(rollout: Rollout) -> None:
    (process,) = rollout.started("t1").prompt().read().processes

    assert (process.process_id, process.source, process.fate) == (f"codex:{THREAD}", "codex", "unknown")
    assert (process.shows_requests, process.shows_ends) == (False, True)
    assert process.horizon_ns == START_NS + 3 * SECOND_NS


def test_a_file_that_a_process_holds_open_is_looked_at_now(rollout: Rollout) -> None:
    now_ns = START_NS + 3_600 * SECOND_NS

    (process,) = (
        rollout.started("t1").prompt().read(held={str(rollout.path.resolve())}, now_ns=lambda: now_ns).processes
    )

    assert (process.fate, process.horizon_ns) == ("running", now_ns)


def test_only_files_that_another_process_may_write_count_as_held(tmp_path: Path) -> None:
    written, read = tmp_path / "written.jsonl", tmp_path / "read.jsonl"
    read.touch()
    holder = f"files = open({str(written)!r}, 'a'), open({str(read)!r}); print('open', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()

        held = open_files()
        process.stdin.close()

    assert {name for name in held if name.startswith(str(tmp_path))} == {str(written)}
    assert str(written) not in open_files()


# -- which files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b'{"timestamp":"2026-11-21T01:05:58.869Z","type":"session_meta","payload":{"id":"x"', True),
        (b'\0\0\xff garbage\n{"timestamp":"x","ordinal":7,"type":"event_msg","payload":{"type":"x"}}', True),
        (b'{"id":"x","timestamp":"2025-08-01T10:00:00.000Z","instructions":"be', True),
        (b'{"type":"session","id":"x","timestamp":"2025-08-01T10:00:00.000Z"}', False),
        (b'{"turnscope":"journal","v":1}', False),
        (b'{"text":"{\\"type\\":\\"session_meta\\",\\"payload\\":{}}"}', False),
        (b"", False),
    ],
)
def test_a_rollout_is_told_by_its_first_records(head: bytes, told: object) -> None:
    assert is_rollout(head) is told


def test_the_first_versions_had_no_envelope(tmp_path: Path) -> None:
    rollout = Rollout(tmp_path / "rollout-2025-08-01.jsonl")
    rollout.raw(b'{"id":"old","timestamp":"2025-08-01T10:00:00.000Z","instructions":null}')
    rollout.raw(b'{"record_type":"state"}')
    rollout.raw(b'{"type":"message","role":"user","content":[{"type":"input_text","text":"<environment_context>"}]}')
    rollout.raw(b'{"type":"message","role":"user","content":[{"type":"input_text","text":"Do the thing."}]}')
    rollout.raw(b'{"type":"function_call","name":"shell","arguments":"{}","call_id":"c1"}')
    read = rollout.read()

    assert story(read) == ["accepted", "started", "first_item 1", "tool_call c1"]
    assert (read.marks[0].turn_id, read.rejects) == ("old:1", [])


def test_a_file_without_any_time_gives_no_marks(tmp_path: Path) -> None:
    read = Rollout(tmp_path / "a.jsonl").raw(b'{"type":"event_msg","payload":{"type":"user_message"}}').read()

    assert (read.marks, read.processes) == ([], [])
    assert [reject.reason for reject in read.rejects] == ["no time on the record, nor on one before it"]
