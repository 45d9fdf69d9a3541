"""What goes on inside a turn, told from hand-made records: requests, tools, compaction, and ends without a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codex_kit import THREAD, Rollout, last, story

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def rollout(tmp_path: Path) -> Rollout:
    return Rollout(tmp_path / f"rollout-2026-11-21T01-00-00-{THREAD}.jsonl").meta()


# -- ends without a message -------------------------------------------------------------------------------


def test_an_empty_answer_is_a_good_end(rollout: Rollout) -> None:
    read = rollout.started("t1").prompt().add("response_item", "reasoning").count(110).complete("t1", None).read()

    assert (story(read)[-1], last(read, "completed").attrs) == ("completed", {"kind": "no_message"})


def test_no_answer_after_a_tool_is_a_failure(rollout: Rollout) -> None:
    read = rollout.started("t1").prompt().call("c1").output("c1").count(110).complete("t1", None).read()

    assert story(read)[-1] == "failed"


def test_no_message_is_a_good_end_where_a_failure_would_have_left_its_error(rollout: Rollout) -> None:
    read = rollout.started("t1").prompt().complete("t1", None, started_at=1_795_222_800).read()

    assert story(read)[-1] == "completed"


def test_a_manual_compaction_has_no_message(rollout: Rollout) -> None:
    read = rollout.started("t1").add("compacted", message="", replacement_history=[]).complete("t1", None).read()

    assert story(read) == ["accepted", "started", "compaction_completed", "completed"]


def test_an_error_event_names_the_reason_that_the_end_leaves_out(rollout: Rollout) -> None:
    message = "exceeded retry limit, last status: 429 Too Many Requests"
    read = rollout.started("t1").prompt().add("event_msg", "error", message=message).complete("t1", None).read()

    assert last(read, "failed").attrs == {"error_type": "rate_limited", "status": 429}


def test_an_error_about_a_refused_request_does_not_fail_the_turn(rollout: Rollout) -> None:
    error = {"message": "no", "codex_error_info": {"active_turn_not_steerable": {"turn_kind": "review"}}}
    read = rollout.started("t1").prompt().add("event_msg", "error", **error).answer().count(9).complete("t1").read()

    assert story(read)[-1] == "completed"


# -- tools ------------------------------------------------------------------------------------------------


def test_a_call_recorded_twice_is_one_call(rollout: Rollout) -> None:
    read = rollout.started("t1").prompt().call("c1").call("c1").output("c1").output("c1").read()

    assert [phase for phase in story(read) if phase.startswith("tool")] == ["tool_call c1", "tool_result c1"]


def test_parallel_calls_are_one_step(rollout: Rollout) -> None:
    rollout.started("t1").prompt().call("c1").call("c2").output("c2").output("c1").count(110).answer()
    read = rollout.read()

    assert story(read)[2:] == [
        "first_item 1",
        "tool_call c1",
        "tool_call c2",
        "upstream_completed 1",
        "tool_result c2",
        "tool_result c1",
        "continuation",
        "first_item 2",
    ]
    assert last(read, "first_item").attrs["step"] == 2


def test_an_output_without_a_call_is_a_result(rollout: Rollout) -> None:
    assert story(rollout.started("t1").prompt().output("c9").read())[-1] == "tool_result c9"


def test_calls_without_ids_are_closed_in_their_order(rollout: Rollout) -> None:
    read = rollout.started("t1").prompt().call(None).call(None).output(None).read()

    calls = [mark.lane for mark in read.marks if mark.phase == "tool_call"]
    assert last(read, "tool_result").lane == calls[0] != calls[1]


def test_a_search_that_the_provider_runs_leaves_no_open_call(rollout: Rollout) -> None:
    read = rollout.started("t1").prompt().add("response_item", "web_search_call", status="completed").read()

    assert story(read) == ["accepted", "started", "first_item 1"]


@pytest.mark.parametrize(("policy", "waits"), [("never", None), ("on-request", True), ({"granular": {}}, True)])
def test_a_call_may_wait_for_a_person_unless_the_policy_is_never(
    rollout: Rollout, policy: object, waits: object
) -> None:
    read = rollout.started("t1").prompt().add("turn_context", approval_policy=policy).call("c1").read()

    assert last(read, "tool_call").attrs.get("escalated") is waits


# -- counts and compaction --------------------------------------------------------------------------------


def test_a_provider_that_reports_no_usage_does_not_look_like_failed_attempts(rollout: Rollout) -> None:
    rollout.started("t1").prompt().call("c1").output("c1").count(None).answer().count(None).complete("t1")

    assert "upstream_failed" not in "".join(story(rollout.read()))


def test_what_a_count_without_figures_means_is_left_open_where_versions_differ(rollout: Rollout) -> None:
    rollout.add("event_msg", "task_started", turn_id="t1", started_at=1).prompt().count(None)

    assert story(rollout.read()) == ["accepted", "started"]


def test_items_written_after_their_response_was_counted_belong_to_it(rollout: Rollout) -> None:
    # 0.47 counts a response before it writes its items.
    read = rollout.prompt().count(None).count(110).call("c1").output("c1").count(110).read()

    assert story(read)[2:] == [
        "response_headers 1",
        "upstream_completed 1",
        "tool_call c1",
        "tool_result c1",
        "continuation",
        "response_headers 2",
    ]


def test_a_compaction_that_was_only_likely_is_taken_back_by_a_tool_call(rollout: Rollout) -> None:
    rollout.started("t1").prompt().call("c1").output("c1").count(99_000).count(99_000)
    assert story(rollout.read())[-1] == "compaction_started"

    assert "compaction_started" not in story(rollout.call("c2").read())


def test_a_repeated_count_below_the_limit_is_a_failed_attempt(rollout: Rollout) -> None:
    rollout.started("t1").prompt().call("c1").output("c1").count(94_000).count(94_000)

    assert story(rollout.read())[-1] == "upstream_failed 2"


def test_a_prompt_takes_back_the_compaction_that_seemed_to_run_before_it(rollout: Rollout) -> None:
    rollout.started("t1").prompt().answer().count(110).complete("t1").started("t2").count(110).prompt()

    assert story(rollout.read()) == ["accepted", "started"]


def test_two_records_of_one_compaction_are_one(rollout: Rollout) -> None:
    rollout.started("t1").prompt().add("compacted", replacement_history=[]).add("event_msg", "context_compacted")

    assert story(rollout.read()).count("compaction_completed") == 1


def test_the_history_inside_a_compaction_holds_no_turns(rollout: Rollout) -> None:
    history = [{"type": "message", "role": "user"}, {"type": "function_call", "name": "x", "call_id": "c1"}] * 3_000
    rollout.started("t1").prompt().add("compacted", message="", replacement_history=history)

    assert story(rollout.read()) == ["accepted", "started", "compaction_completed"]


# -- long records -----------------------------------------------------------------------------------------


def test_long_records_are_told_by_their_ends(rollout: Rollout) -> None:
    long = "x" * 300_000
    rollout.started("t1").prompt().call("c1", arguments=long)
    rollout.add("response_item", "function_call_output", call_id="c1", output=long)
    rollout.add("response_item", "message", role="assistant", content=long).complete("t1", long)
    read = rollout.read()

    assert story(read)[2:] == [
        "first_item 1",
        "tool_call c1",
        "upstream_completed 1",
        "tool_result c1",
        "continuation",
        "first_item 2",
        "completed",
    ]
    assert last(read, "tool_call").attrs["name"] == "exec_command"
    assert last(read, "tool_result").attrs["bytes"] == 300_132


def test_a_long_prompt_item_is_a_prompt(rollout: Rollout) -> None:
    item = {"type": "UserMessage", "id": "u1", "content": [{"type": "image", "image_url": "x" * 300_000}]}
    rollout.started("t1").add("event_msg", "item_completed", turn_id="t1", item=item).complete("t1", None)

    assert story(rollout.read())[-1] == "failed"
