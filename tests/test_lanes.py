from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import turnscope
from helpers import marks_on

if TYPE_CHECKING:
    from turnscope.testing import Recording


def test_a_tool_waits_for_approval_and_brings_a_result(recording: Recording) -> None:
    with turnscope.turn("s"), turnscope.tool("shell", call_id="call_7") as tool:
        tool.awaiting_approval()
        tool.approved()
        tool.result(ok=False, bytes=12)

    assert marks_on(recording, "tool") == [
        ("tool:call_7", "tool_call", {"name": "shell"}),
        ("tool:call_7", "awaiting_approval", {}),
        ("tool:call_7", "approved", {}),
        ("tool:call_7", "tool_result", {"error_type": "tool_error", "bytes": 12}),
    ]


def test_a_denied_tool_brings_its_result_too(recording: Recording) -> None:
    with turnscope.turn("s"), turnscope.tool("shell") as tool:
        tool.awaiting_approval()
        tool.denied()

    assert [(lane, phase) for lane, phase, _ in marks_on(recording, "tool")][1:] == [
        ("tool:1", "awaiting_approval"),
        ("tool:1", "denied"),
        ("tool:1", "tool_result"),
    ]


def test_a_tool_that_raises_is_no_failure_of_the_transport(recording: Recording) -> None:
    with pytest.raises(ConnectionResetError), turnscope.turn("s"), turnscope.tool("fetch"):
        raise ConnectionResetError

    expected = {"error_type": "tool_error", "error_class": "ConnectionResetError"}
    assert marks_on(recording, "tool")[-1] == ("tool:1", "tool_result", expected)
    assert recording.last()["attrs"] == expected


@pytest.mark.parametrize(
    ("opening", "kind", "ends"),
    [
        ("hydration_started", "hydration", ["hydration_completed", "hydration_failed"]),
        ("compaction_started", "compaction", ["compaction_completed", "compaction_failed"]),
        ("upstream_sent", "upstream", ["upstream_completed", "upstream_failed"]),
        ("tool_call", "tool", ["tool_result", "tool_result"]),
        ("awaiting_quota", "quota", ["quota_restored", "quota_restored"]),
    ],
)
def test_a_phase_ends_as_its_body_does(recording: Recording, opening: str, kind: str, ends: list[str]) -> None:
    with turnscope.turn("s") as turn:
        with turn.phase(opening, bytes=3):
            pass
        with pytest.raises(ValueError, match="bad"), turn.phase(opening):
            raise ValueError("bad")

    marks = marks_on(recording, kind)
    assert [phase for _, phase, _ in marks] == [opening, ends[0], opening, ends[1]]
    assert marks[0][2] == {"bytes": 3}
    assert "error_type" in marks[3][2]
    assert len({lane for lane, _, _ in marks}) == (2 if kind in {"upstream", "tool"} else 1)


def test_an_unknown_opening_phase_runs_its_body_and_is_counted(recording: Recording) -> None:
    with turnscope.turn("s") as turn, turn.phase("pondering"):
        pass

    assert recording.phases() == ["accepted", "started", "completed"]
    assert recording.journal.drops == {"unknown_phase": 1}


def test_compaction_and_hydration_carry_their_sizes(recording: Recording) -> None:
    with turnscope.turn("s"):
        with turnscope.hydration(bytes=10) as hydration:
            hydration.done(bytes=11, records=2)
        with turnscope.compaction(trigger="auto", tokens=100) as compaction:
            compaction.done(tokens=9)

    assert marks_on(recording, "hydration") == [
        ("hydration", "hydration_started", {"bytes": 10}),
        ("hydration", "hydration_completed", {"bytes": 11, "records": 2}),
    ]
    assert marks_on(recording, "compaction") == [
        ("compaction", "compaction_started", {"trigger": "auto", "tokens": 100}),
        ("compaction", "compaction_completed", {"tokens": 9}),
    ]


def test_leaving_the_queue_starts_the_turn_once(recording: Recording) -> None:
    turn = turnscope.accept("s")
    with turn.queue(name="main", ahead=2):
        pass
    with turn:
        pass

    assert [(phase, attrs) for _, phase, attrs in marks_on(recording, "turn")][1:] == [
        ("queued", {"name": "main", "ahead": 2}),
        ("started", {}),
        ("completed", {}),
    ]


def test_a_turn_that_is_stopped_in_the_queue_ends_there(recording: Recording) -> None:
    turn = turnscope.accept("s")

    with pytest.raises(asyncio.CancelledError), turn.queue():
        raise asyncio.CancelledError

    assert recording.phases() == ["accepted", "queued", "interrupted"]


def test_a_renderer_carries_what_its_client_has_seen(recording: Recording) -> None:
    with turnscope.turn("s") as turn, turn.renderer("web", cursor=3) as renderer:
        renderer.seen(9)

    attached, detached = marks_on(recording, "renderer")
    assert attached == ("renderer:web", "renderer_attached", {"name": "web", "cursor": 3, "slot": 0})
    assert detached == ("renderer:web", "renderer_detached", {"cursor": 9})


@pytest.mark.parametrize("result", ["cancelled", "still_running", "already_completed", "failed", "unknown"])
def test_a_cancel_ends_in_its_result(recording: Recording, result: str) -> None:
    turn = turnscope.accept("s")
    with turnscope.cancel(turn) as cancel:
        cancel.result(result)

    assert marks_on(recording, "cancel") == [
        ("cancel", "cancel_requested", {}),
        ("cancel", "cancel_result", {"result": result}),
    ]


def test_a_result_that_is_none_becomes_unknown_and_is_counted(recording: Recording) -> None:
    with turnscope.accept("s").cancel() as cancel:
        cancel.result("stopped, I think")

    assert marks_on(recording, "cancel")[-1][2] == {"result": "unknown"}
    assert recording.journal.drops == {"capped": 1}


def test_a_cancel_without_a_result_is_unknown_and_with_an_error_failed(recording: Recording) -> None:
    turn = turnscope.accept("s")
    with turn.cancel():
        pass
    with pytest.raises(OSError, match="pipe"), turn.cancel():
        raise OSError("pipe")

    results = [attrs for _, phase, attrs in marks_on(recording, "cancel") if phase == "cancel_result"]
    assert results == [{"result": "unknown"}, {"result": "failed"}]


def test_a_turn_that_this_process_does_not_know_can_be_cancelled(recording: Recording) -> None:
    with turnscope.cancel("elsewhere") as cancel:
        cancel.result("still_running")

    assert [(mark["turn"], mark["session"], mark["phase"]) for mark in recording.marks()] == [
        ("elsewhere", "", "cancel_requested"),
        ("elsewhere", "", "cancel_result"),
    ]
    assert recording.recorder.turns == {}


def test_a_turn_is_cancelled_by_its_id_from_another_task(recording: Recording) -> None:
    async def work() -> None:
        with turnscope.turn("s", turn_id="t"):
            await asyncio.Event().wait()

    async def main() -> asyncio.Task[None]:
        task = asyncio.create_task(work())
        while "t" not in recording.recorder.turns:
            await asyncio.sleep(0)
        with turnscope.cancel("t") as cancel:
            task.cancel()
            await asyncio.wait([task])
            cancel.result("cancelled")
        return task

    task = asyncio.run(main())

    assert task.cancelled()
    assert recording.phases() == ["accepted", "started", "cancel_requested", "cancelled", "cancel_result"]
    assert {mark["session"] for mark in recording.marks()} == {"s"}


def test_a_quota_says_when_it_resets(recording: Recording) -> None:
    with turnscope.turn("s"), turnscope.quota(resets_at=1_795_223_200):
        pass

    assert marks_on(recording, "quota") == [
        ("quota", "awaiting_quota", {"resets_at": 1_795_223_200_000_000_000}),
        ("quota", "quota_restored", {}),
    ]


def test_lanes_outside_of_a_turn_do_nothing_and_are_counted(recording: Recording) -> None:
    with turnscope.upstream() as upstream, turnscope.tool("t") as tool, turnscope.queue(), turnscope.cancel() as cancel:
        upstream.headers(200)
        upstream.progress(1)
        tool.result()
        cancel.result("cancelled")
    turnscope.mark("started")
    turnscope.continuation()
    turnscope.progress(1)

    assert recording.journal.lines == []
    assert recording.journal.drops == {"no_turn": 7}


def test_a_mark_finds_the_lane_that_the_code_runs_in(recording: Recording) -> None:
    with turnscope.turn("s") as turn, turn.tool("a", call_id="a"), turn.upstream():
        turnscope.mark("awaiting_approval")
        turn.mark("response_headers")
        turn.mark("approved", "tool:b")
        turn.mark("approved", "c")
        turn.mark("hydration_started", "somewhere")

    lanes = {(mark["phase"], mark["lane"]) for mark in recording.marks()}
    assert {
        ("awaiting_approval", "tool:a"),
        ("response_headers", "upstream:1"),
        ("approved", "tool:b"),
        ("approved", "tool:c"),
        ("hydration_started", "hydration"),
    } <= lanes


def test_a_decorated_function_opens_a_lane_for_each_call(recording: Recording) -> None:
    @turnscope.tool("add")
    def add(a: int, b: int) -> int:
        return a + b

    @turnscope.hydration()
    async def load() -> str:
        return "history"

    @turnscope.upstream(model="m")
    async def ask() -> str:
        return "answer"

    @turnscope.compaction(trigger="auto")
    def compact() -> None:
        return None

    async def main() -> None:
        assert (await load(), await ask(), add(1, b=2), add(3, 4), await ask()) == ("history", "answer", 3, 7, "answer")
        compact()

    with turnscope.turn("s"):
        asyncio.run(main())

    assert [lane for lane, phase, _ in marks_on(recording, "tool") if phase == "tool_call"] == ["tool:1", "tool:2"]
    requests = [
        (lane, attrs["step"]) for lane, phase, attrs in marks_on(recording, "upstream") if phase == "upstream_sent"
    ]
    assert requests == [("upstream:1", 1), ("upstream:2", 2)]
    assert [phase for _, phase, _ in marks_on(recording, "compaction")] == [
        "compaction_started",
        "compaction_completed",
    ]
    assert [phase for _, phase, _ in marks_on(recording, "hydration")] == ["hydration_started", "hydration_completed"]


def test_a_client_that_goes_away_is_no_error_of_its_lane(recording: Recording) -> None:
    with pytest.raises(GeneratorExit), turnscope.turn("s1"), turnscope.renderer("web"):
        raise GeneratorExit

    assert marks_on(recording, "renderer")[-1] == ("renderer:web", "renderer_detached", {})


def test_an_old_connection_does_not_detach_the_client_that_came_back(recording: Recording) -> None:
    with turnscope.turn("s1") as turn:
        old, new = turn.renderer("web"), turn.renderer("web")
        old.__enter__()
        new.__enter__()
        old.__exit__(None, None, None)

        assert "renderer_detached" not in recording.phases()
        new.__exit__(None, None, None)

    assert recording.phases().count("renderer_detached") == 1


def test_a_request_that_was_stopped_says_so(recording: Recording) -> None:
    with pytest.raises(KeyboardInterrupt), turnscope.turn("s1"), turnscope.upstream():
        raise KeyboardInterrupt

    *_, (_lane, phase, attrs) = marks_on(recording, "upstream")
    assert (phase, attrs["error_type"]) == ("upstream_failed", "cancelled")
