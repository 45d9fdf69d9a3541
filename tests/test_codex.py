"""What a rollout's records say about its turns: real captures of three versions, and pitfalls made by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from codex_kit import CAPTURES, SHARED, START_NS, THREAD, Rollout, capture, last, story, turns_of
from turnscope.attributes import ATTRIBUTES, ERROR_KIND
from turnscope.phases import PHASE, lane_kind
from turnscope_analyzer.sources.codex.rollout import is_rollout, open_files, read_rollout

SECOND_NS = 1_000_000_000


@pytest.fixture
def rollout(tmp_path: Path) -> Rollout:
    return Rollout(tmp_path / f"rollout-2026-11-21T01-00-00-{THREAD}.jsonl").meta()


# -- real captures ----------------------------------------------------------------------------------------


def test_0_169_tells_a_response_by_its_usage_record() -> None:
    assert story(capture("0.169-tools"))[:10] == [
        "accepted",
        "started",
        "first_item 1",
        "tool_call call_1_0",
        "upstream_completed 1",
        "tool_result call_1_0",
        "continuation",
        "first_item 2",
        "tool_call call_2_0",
        "upstream_completed 2",
    ]


def test_0_142_counts_a_response_only_after_its_tools_and_is_told_the_same() -> None:
    assert story(capture("0.142-tools")) == story(capture("0.169-tools"))


def test_0_118_shows_when_response_headers_came() -> None:
    told = story(capture("0.118-tools"))

    assert [phase for phase in told if not phase.startswith("response_headers")] == story(capture("0.169-tools"))
    assert told.index("response_headers 2") == told.index("continuation") + 1


def test_a_response_that_came_at_the_second_attempt_is_one_step() -> None:
    read = capture("0.118-retried")

    attempts = [(m.phase, m.attrs["step"], m.attrs["attempt"]) for m in read.marks if m.lane.startswith("upstream")]
    assert attempts == [
        ("response_headers", 1, 1),
        ("upstream_failed", 1, 1),
        ("response_headers", 1, 2),
        ("first_item", 1, 2),
        ("upstream_completed", 1, 2),
    ]


def test_a_failed_turn_without_an_error_on_file_is_failed_for_no_named_reason() -> None:
    read = capture("0.142-cut-off")

    assert story(read) == [
        "accepted",
        "started",
        "upstream_failed 1",
        "upstream_failed 2",
        "upstream_failed 3",
        "failed",
    ]
    assert "error_type" not in last(read, "failed").attrs


def test_a_failed_turn_names_its_error_where_it_is_on_file() -> None:
    attrs = last(capture("0.169-server-error"), "failed").attrs

    assert attrs == {"error_type": "server_error", "error_class": "http_connection_failed", "status": 503}


def test_a_window_that_was_exceeded_is_told_by_its_made_up_figures() -> None:
    assert last(capture("0.118-window-exceeded"), "failed").attrs == {"error_type": "context_length_exceeded"}


@pytest.mark.parametrize("name", ["0.118-tools", "0.142-two-turns", "0.169-tools"])
def test_a_turn_is_also_known_by_its_trace(name: str) -> None:
    read = capture(name)
    turns = list(turns_of(read))

    assert [turn for trace, turn in read.names.items() if "/" not in trace] == turns
    assert all(read.names[f"{read.marks[0].session_id}/{trace}"] for trace in read.names if "/" not in trace)


def test_a_trace_that_several_turns_share_names_none(rollout: Rollout) -> None:
    rollout.started("t1").prompt().answer().complete("t1").started("t2").prompt()

    assert rollout.read().names == {}


def test_a_turn_that_a_later_one_left_open_ends_at_its_own_last_record() -> None:
    read = capture("0.169-process-killed")
    lost = next(mark for mark in read.marks if mark.phase == "interrupted")

    assert lost.attrs == {"recovered": True, "error_type": "process_lost"}
    assert _record_at(lost.file, lost.offset)["payload"]["item"]["type"] == "UserMessage"
    assert lost.turn_id == read.marks[0].turn_id
    assert story(read)[-1] == "completed"


def test_an_interrupted_turn_is_not_ended_by_what_its_tool_still_writes() -> None:
    assert story(capture("0.169-interrupted"))[-2:] == ["tool_result call_1_0", "interrupted"]


def test_a_call_that_asks_for_more_rights_may_wait_for_a_person() -> None:
    read = capture("0.169-approval-pending")

    assert last(read, "tool_call").attrs["escalated"] is True
    assert "escalated" not in last(capture("0.169-tools"), "tool_call").attrs


def test_a_compaction_starts_when_its_item_says_so() -> None:
    read = capture("0.169-compaction")
    started, done = last(read, "compaction_started"), last(read, "compaction_completed")

    item = _record_of(read.marks[0].file, b"ContextCompaction")
    assert started.wall_ns == item["payload"]["started_at_ms"] * 1_000_000
    assert "late" not in started.attrs
    assert started.seq < done.seq
    assert (started.attrs["tokens"], done.attrs["tokens"]) == (90_500, 6_879)


def test_a_compaction_in_mid_turn_does_not_close_the_wait_for_the_continuation() -> None:
    assert story(capture("0.142-compaction"))[5:] == [
        "tool_result call_1_0",
        "compaction_started",
        "first_item 2",
        "upstream_completed 2",
        "compaction_completed",
        "continuation",
        "first_item 3",
        "upstream_completed 3",
        "completed",
    ]


def test_a_turn_without_a_prompt_on_file_is_compacting() -> None:
    read = capture("0.142-manual-compaction-hangs")

    assert story(read) == ["accepted", "started", "compaction_started"]
    assert "kind" not in last(read, "compaction_started").attrs


def test_an_answered_request_after_a_full_window_is_likely_a_compaction() -> None:
    read = capture("0.118-compaction-hangs")

    assert story(read)[-2:] == ["response_headers 2", "compaction_started"]
    assert last(read, "response_headers").attrs["purpose"] == "compaction"
    assert last(read, "compaction_started").attrs["kind"] == "likely"


@pytest.mark.parametrize("name", ["0.142-compaction-rejected", "0.169-compaction-rejected"])
def test_a_turn_that_ends_where_it_had_to_compact_failed_in_compaction(name: str) -> None:
    read = capture(name)

    assert story(read)[-2:] == ["compaction_failed", "failed"]
    assert last(read, "failed").attrs["error_type"] == "compaction_failed"
    assert last(read, "compaction_failed").attrs["purpose"] == "compaction"


# -- every mark -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(CAPTURES.glob("*.jsonl")), ids=lambda path: path.stem)
def test_every_mark_is_in_the_vocabulary_and_points_at_its_record(path: Path) -> None:
    read = read_rollout(path)

    known = {attribute.name for attribute in ATTRIBUTES}
    for mark in read.marks:
        assert PHASE[mark.phase].lane == lane_kind(mark.lane)
        assert set(mark.attrs) <= known
        assert mark.attrs.get("error_type", "other") in ERROR_KIND
        assert _record_at(mark.file, mark.offset)["payload"]
    assert [mark.seq for mark in read.marks] == list(range(len(read.marks)))
    assert [mark.at_ns for mark in read.marks] == sorted(mark.at_ns for mark in read.marks)
    assert read.rejects == []


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

    assert _record_at(str(rollout.path), last(read, "interrupted").offset)["payload"]["type"] == "user_message"


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


# -- captures that stay where they are --------------------------------------------------------------------


@pytest.mark.skipif(not (SHARED / "codex-lab").is_dir(), reason="the labelled runs are not here")
def test_every_labelled_run_ends_as_its_label_says() -> None:
    ends: dict[str | None, str | None] = {"completed": "completed", "failed": "failed", "interrupted": "interrupted"}
    for label in sorted((SHARED / "codex-lab").glob("*/*/truth.json")):
        truth = orjson.loads(label.read_bytes())
        for path in label.parent.glob("home/sessions/*/*/*/*.jsonl"):
            turns = list(turns_of(read_rollout(path)).values())
            judged = turns[0] if "orphan" in truth["scenario"] else turns[-1]
            end = [mark for mark in judged if PHASE[mark.phase].lane == "turn" and PHASE[mark.phase].terminal]

            told = end[0].phase if end and not end[0].attrs.get("recovered") else None
            assert told == ends.get(truth["terminal_on_disk"]), label


@pytest.mark.skipif(not (SHARED / "codex-public").is_dir(), reason="the public captures are not here")
def test_public_rollouts_of_old_versions_show_one_answered_request_a_step() -> None:
    for path in sorted((SHARED / "codex-public").glob("*.jsonl")):
        read = read_rollout(path)

        assert is_rollout(path.read_bytes()[:4_096]), path
        for marks in turns_of(read).values():
            steps = [mark.attrs["step"] for mark in marks if mark.phase == "response_headers"]
            assert steps == list(range(1, len(steps) + 1)), path


def _record_at(file: str, offset: int) -> Any:
    with Path(file).open("rb") as lines:
        lines.seek(offset)
        return orjson.loads(lines.readline())


def _record_of(file: str, text: bytes) -> Any:
    with Path(file).open("rb") as lines:
        return orjson.loads(next(line for line in lines if text in line))
