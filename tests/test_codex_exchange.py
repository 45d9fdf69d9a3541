"""Requests, tools and compactions of a turn as Codex's own telemetry tells them."""

from __future__ import annotations

import pytest

from telemetry_kit import Exported, S, find, last_turn, story

# -- requests ---------------------------------------------------------------------------------------------


def test_a_request_was_sent_before_its_headers_came() -> None:
    marks = last_turn(Exported().prompt().answered(9, took_s=6).captures())

    assert find(marks, "upstream_sent").at_ns == 3 * S
    assert find(marks, "response_headers").at_ns == 9 * S


def test_chunks_are_counted_on_the_phase_that_is_open() -> None:
    exported = Exported().prompt().answered(3).sse(3.1, "created").sse(3.2, "output_item.added")
    for number in range(50):
        exported.sse(4 + number / 10, "output_text.delta")

    item = find(last_turn(exported.captures()), "first_item")

    assert item.attrs["live_chunks"] == 50
    assert item.attrs["live_progress_at"] == int(8.9 * S)


def test_a_completed_response_is_one_though_it_is_said_twice() -> None:
    told = story(Exported().prompt().response(3).captures())

    assert told.count("upstream_completed 1") == 1


def test_an_error_that_is_said_twice_is_one_failure_of_its_first_kind() -> None:
    exported = Exported().prompt().answered(3).sse(3.1, "created")
    exported.sse(9, None, error__message="idle timeout waiting for SSE")
    exported.sse(9.001, "completed", error__message="stream disconnected before completion: idle timeout")

    marks = last_turn(exported.captures())

    assert [mark.attrs["error_type"] for mark in marks if mark.phase == "upstream_failed"] == ["idle_timeout"]


def test_a_new_attempt_ends_one_whose_end_is_not_on_file() -> None:
    told = story(Exported().prompt().answered(3).sse(3.1, "created").answered(8).captures())

    assert told[-3:] == ["upstream_failed 1", "upstream_sent 2", "response_headers 2"]


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        ("429", "http 429", "rate_limited"),
        ("401", "http 401", "unauthorized"),
        ("503", "http 503", "server_error"),
        ("400", "http 400", "bad_request"),
        ("", "error sending request", "connection_failed"),
    ],
)
def test_a_refusal_is_told_by_its_status(status: str, message: str, kind: str) -> None:
    marks = last_turn(Exported().prompt().answered(3, status, error__message=message).captures())

    assert find(marks, "upstream_failed").attrs["error_type"] == kind


def test_a_stream_without_a_request_on_file_is_a_request() -> None:
    told = story(Exported().prompt().sse(3, "created").sse(4, "output_item.added").captures())

    assert told[-2:] == ["first_event 1", "first_item 1"]
    assert "upstream_sent 1" not in told


# -- tools and compactions --------------------------------------------------------------------------------


def test_a_tool_that_a_person_approved_says_so() -> None:
    told = story(Exported().prompt().response(3).tool(9, source="User").captures())

    assert told[-3:] == ["tool_call c1", "approved c1", "tool_result c1"]


def test_arguments_and_outputs_are_not_kept() -> None:
    [capture] = Exported().prompt().response(3).tool(4).captures()

    assert "secret" not in str(capture)


def test_a_request_before_the_prompt_is_likely_a_compactions() -> None:
    exported = Exported().response(3).prompt(5).response(6)

    marks = last_turn(exported.captures())

    assert [mark.phase for mark in marks if mark.lane == "compaction"] == ["compaction_started", "compaction_completed"]
    assert [mark.attrs.get("purpose") for mark in marks if mark.phase == "upstream_sent"] == ["compaction", None]


def test_below_the_limit_the_request_after_a_tool_is_the_turns() -> None:
    exported = Exported().started(limit=1_000).prompt().response(3, tokens=999).tool(4)

    assert "compaction_started" not in story(exported.answered(7).captures())
    over = Exported().started(limit=1_000).prompt().response(3, tokens=1_000).tool(4)
    assert "compaction_started" in story(over.answered(7).captures())


def test_a_compaction_that_was_only_likely_is_taken_back_by_a_tool_call() -> None:
    exported = Exported().started(limit=1_000).prompt().response(3, tokens=1_000).tool(4).response(7).tool(9, "c2")

    marks = last_turn(exported.captures())

    assert not [mark for mark in marks if mark.lane == "compaction" or mark.attrs.get("purpose")]


def test_a_request_for_a_compaction_alone_needs_no_stream() -> None:
    exported = Exported().prompt().response(3).tool(4).answered(9, endpoint="/responses/compact")

    assert story(exported.captures())[-4:] == [
        "compaction_started",
        "upstream_sent 2",
        "upstream_completed 2",
        "compaction_completed",
    ]
