from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import turnscope
from helpers import marks_on

if TYPE_CHECKING:
    from turnscope.testing import Recording


def test_a_request_goes_through_its_phases(recording: Recording) -> None:
    with turnscope.turn("s"), turnscope.upstream(model="m") as upstream:
        upstream.headers(200)
        upstream.first_byte()
        upstream.event("response.created")
        upstream.item("reasoning")

    assert [(phase, attrs.get("status"), attrs.get("kind")) for _, phase, attrs in marks_on(recording, "upstream")] == [
        ("upstream_sent", None, None),
        ("response_headers", 200, None),
        ("first_byte", None, None),
        ("first_event", None, "response.created"),
        ("first_item", None, "reasoning"),
        ("upstream_completed", None, None),
    ]
    assert marks_on(recording, "upstream")[0][2] == {"step": 1, "attempt": 1, "purpose": "turn", "model": "m"}


def test_phases_that_were_skipped_are_not_invented_and_none_goes_back(recording: Recording) -> None:
    with turnscope.turn("s"), turnscope.upstream() as upstream:
        upstream.item()
        upstream.headers(200)
        upstream.event()

    assert [phase for _, phase, _ in marks_on(recording, "upstream")] == [
        "upstream_sent",
        "first_item",
        "upstream_completed",
    ]


def test_the_first_chunk_is_the_first_byte_and_the_next_mark_carries_the_figures(recording: Recording) -> None:
    clock = recording.clock
    with turnscope.turn("s"), turnscope.upstream() as upstream:
        upstream.headers()
        clock.step(1)
        upstream.keepalive()
        clock.step(1)
        upstream.progress(10)
        clock.step(5)
        upstream.progress(20)
        upstream.item()
        clock.step(1)
        upstream.item()

    marks = {phase: attrs for _, phase, attrs in marks_on(recording, "upstream")}
    assert marks["first_byte"] == {
        "chunks": 0, "bytes": 0, "keepalives": 1, "keepalive_at": 2_000_000_000, "slot": marks["first_byte"]["slot"],
    }  # fmt: skip
    assert marks["first_item"]["chunks"] == 2
    assert marks["first_item"]["bytes"] == 30
    assert marks["first_item"]["max_gap"] == 5_000_000_000
    assert marks["first_item"]["progress_at"] == 8_000_000_000
    assert marks["upstream_completed"]["chunks"] == 1
    assert "slot" not in marks["upstream_completed"]


def test_each_streaming_mark_owns_a_slot_and_all_come_back(recording: Recording) -> None:
    for _ in range(1100):
        with turnscope.turn("s"), turnscope.upstream() as upstream, turnscope.renderer("web"):
            upstream.progress(1)
            upstream.item()

    assert recording.journal.drops == {}


def test_without_a_free_slot_the_stream_goes_on_and_the_loss_is_counted(recording: Recording) -> None:
    taken = [recording.journal.slot(1) for _ in range(1020)]

    with turnscope.turn("s"), turnscope.upstream() as upstream:
        upstream.progress(1)
        upstream.progress(1)
        upstream.keepalive()

    assert len(taken) == 1020
    assert [attrs for _, phase, attrs in marks_on(recording, "upstream") if phase == "first_byte"] == [{}]
    assert recording.journal.drops == {"slots_full": 1}


def test_progress_of_the_module_reaches_the_request_that_is_open(recording: Recording) -> None:
    with turnscope.turn("s"), turnscope.upstream() as upstream:
        with turnscope.tool("search"):
            turnscope.progress(3)
        turnscope.progress(4)
        upstream.complete()
        turnscope.progress(5)

    assert marks_on(recording, "upstream")[-1][2]["bytes"] == 7


def test_a_wrong_argument_to_progress_is_counted_and_goes_no_further(recording: Recording) -> None:
    with turnscope.turn("s"), turnscope.upstream() as upstream:
        upstream.progress(1)
        upstream.progress("many")  # type: ignore[arg-type] # what is tested

    assert recording.journal.drops == {"guard": 1}
    assert recording.phases()[-1] == "completed"


def test_steps_and_attempts_follow_from_what_happened(recording: Recording) -> None:
    with turnscope.turn("s") as turn:
        for error in ("server_error", "connection_reset", None):
            with turn.upstream() as upstream:
                if error:
                    upstream.fail(error)
        for call in ("a", "b"):
            with turn.tool("search", call_id=call):
                pass
        turn.continuation()
        with turn.upstream(purpose="compaction") as upstream:
            upstream.fail(status=503)
        with turn.upstream(purpose="compaction"):
            pass
        with turn.upstream() as upstream:
            upstream.fail("rate_limit_exceeded")
        with turn.upstream():
            pass

    sent = [(lane, attrs) for lane, phase, attrs in marks_on(recording, "upstream") if phase == "upstream_sent"]
    assert [(lane, attrs["purpose"], attrs["step"], attrs["attempt"]) for lane, attrs in sent] == [
        ("upstream:1", "turn", 1, 1),
        ("upstream:2", "turn", 1, 2),
        ("upstream:3", "turn", 1, 3),
        ("upstream:4", "compaction", 1, 1),
        ("upstream:5", "compaction", 1, 2),
        ("upstream:6", "turn", 2, 1),
        ("upstream:7", "turn", 2, 2),
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"error": "usage_limit_reached"}, {"error_type": "rate_limited", "error_class": "usage_limit_reached"}),
        ({"error": "idle_timeout"}, {"error_type": "idle_timeout"}),
        ({"status": 401}, {"error_type": "unauthorized", "status": 401}),
        ({"status": 529}, {"error_type": "server_error", "status": 529}),
        ({}, {"error_type": "other"}),
        (
            {"error": ConnectionRefusedError()},
            {"error_type": "connection_refused", "error_class": "ConnectionRefusedError"},
        ),
    ],
)
def test_a_request_fails_with_what_is_known(
    recording: Recording, arguments: dict[str, Any], expected: dict[str, Any]
) -> None:
    with turnscope.turn("s"), turnscope.upstream() as upstream:
        upstream.fail(**arguments)

    assert marks_on(recording, "upstream")[-1] == ("upstream:1", "upstream_failed", expected)


def test_the_cursors_of_client_and_stream_outlive_the_process(recording: Recording) -> None:
    with turnscope.turn("s") as turn, turn.upstream() as upstream, turn.renderer("web") as renderer:
        upstream.headers()
        turn.emitted(7)
        upstream.progress(1)
        renderer.seen(5)
        slots = {held.lane: held.slot for held in turn.lanes_held() if held.slot is not None}
        cursors = {lane: slot.cursor for lane, slot in slots.items()}

    assert cursors == {"upstream:1": 7, "renderer:web": 5}
    assert marks_on(recording, "upstream")[-1][2]["cursor"] == 7
