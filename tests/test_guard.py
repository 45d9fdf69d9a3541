from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

import turnscope
from turnscope import testing
from turnscope._guard import Guard
from turnscope.recorder import Recorder, activate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from turnscope.testing import Recording

PASSING = [asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit]


class BrokenJournal(testing.MemoryJournal):
    """Fails at everything, as no journal of ours does."""

    def append(self, line: bytes) -> None:  # noqa: ARG002 - the interface's
        raise OSError("no journal")

    def slot(self, seq: int) -> None:  # noqa: ARG002 - the interface's
        raise OSError("no journal")


@pytest.fixture
def broken() -> Iterator[BrokenJournal]:
    """The active recorder writes into a journal that fails."""
    journal = BrokenJournal()
    before = activate(Recorder(journal))
    yield journal
    activate(before)


@pytest.mark.parametrize("stop", PASSING)
def test_what_stops_a_turn_passes(stop: type[BaseException]) -> None:
    guard = Guard()

    with pytest.raises(stop), guard:
        raise stop

    assert guard.swallowed == 0


def test_an_error_is_counted_each_time_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    reasons: list[str] = []
    guard = Guard()
    guard.count_into(reasons.append)

    for _ in range(3):
        with guard:
            raise ValueError("ours")

    assert reasons == ["guard"] * 3
    assert guard.swallowed == 3
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert caplog.records[0].exc_info is not None


def test_telling_of_an_error_may_fail_too() -> None:
    def drop(reason: str) -> None:
        raise OSError(reason)

    guard = Guard()
    guard.count_into(drop)

    with guard:
        raise ValueError("ours")

    assert guard.swallowed == 1


def test_no_call_of_the_api_fails_when_nothing_can_be_recorded(broken: BrokenJournal) -> None:
    with turnscope.turn("s", prompt="p") as turn:
        with turn.queue(ahead=1), turn.hydration() as hydration:
            hydration.done(records=1)
        with turn.upstream(model="m") as upstream, turn.renderer("web") as renderer:
            upstream.headers(200)
            upstream.progress(5)
            upstream.keepalive()
            upstream.event()
            upstream.item()
            turn.emitted(1)
            renderer.seen(1)
            upstream.fail(ValueError())
        with turn.tool("t") as tool, turn.compaction() as compaction, turn.quota(resets_at=1), turn.phase("tool_call"):
            tool.awaiting_approval()
            tool.approved()
            tool.denied()
            tool.result()
            compaction.done()
        with turn.cancel() as cancel:
            cancel.result("failed")
        turn.mark("started")
        turn.continuation()
        turn.complete()

    assert broken.drops["guard"] > 20
    assert turnscope.current_turn() is None


def test_wrong_arguments_do_not_fail_a_turn(recording: Recording) -> None:
    wrong: Any = object()

    with turnscope.turn(turn_id=wrong, prompt=wrong) as turn, turn.upstream(model=wrong, purpose=wrong) as upstream:
        turn.mark(wrong, wrong)
        turn.mark([])  # type: ignore[arg-type] # what is tested
        upstream.headers(wrong)
        upstream.fail(wrong, wrong)
        turn.emitted(wrong)
        with (
            turn.quota(resets_at=wrong),
            turn.tool(wrong, call_id=wrong),
            turn.renderer(wrong, cursor=wrong) as renderer,
        ):
            renderer.seen(wrong)
        with turnscope.cancel(wrong) as cancel:
            cancel.result(wrong)

    assert recording.phases()[-1] == "completed"


def test_an_error_of_the_body_keeps_its_traceback(broken: BrokenJournal) -> None:
    def body() -> None:
        raise LookupError("the user's")

    with pytest.raises(LookupError, match="the user's") as caught, turnscope.turn("s"), turnscope.tool("t"):
        body()

    names = [entry.name for entry in caught.traceback]
    assert names[-1] == "body"
    assert caught.value.__context__ is None


def run_and_cancel(handler: Callable[[], Any]) -> asyncio.Task[Any]:
    """Run *handler* in a task until it waits, cancel it, and return the task when it is done."""

    async def main() -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.create_task(handler())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task

    return asyncio.run(main())


def test_a_cancelled_handler_stays_cancelled(recording: Recording) -> None:
    @turnscope.turn
    async def answer() -> None:
        with turnscope.upstream(), turnscope.tool("t"):
            await asyncio.Event().wait()

    task = run_and_cancel(answer)

    assert task.cancelled()
    assert recording.phases()[-3:] == ["tool_result", "upstream_failed", "interrupted"]


def test_a_cancel_that_was_asked_for_is_no_interruption(recording: Recording) -> None:
    @turnscope.turn
    async def answer() -> None:
        turn = turnscope.current_turn()
        assert turn is not None
        with turn.cancel() as cancel:
            cancel.result("cancelled")
        await asyncio.Event().wait()

    assert run_and_cancel(answer).cancelled()
    assert recording.phases()[-1] == "cancelled"


def test_a_cancelled_handler_that_fails_on_the_way_out_fails(recording: Recording) -> None:
    @turnscope.turn
    async def answer() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("cleaning up")

    assert isinstance(run_and_cancel(answer).exception(), ValueError)
    assert recording.phases()[-1] == "failed"


def test_a_handler_may_take_a_cancel_back(recording: Recording) -> None:
    @turnscope.turn
    async def answer() -> str:
        try:
            with turnscope.tool("t"):
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "partial answer"
        return "answer"

    assert run_and_cancel(answer).result() == "partial answer"
    assert recording.phases()[-1] == "completed"


def test_a_timeout_inside_of_a_lane_is_the_lanes_error(recording: Recording) -> None:
    @turnscope.turn
    async def answer() -> str:
        try:
            with turnscope.upstream():
                await asyncio.wait_for(asyncio.Event().wait(), timeout=0)
        except (TimeoutError, asyncio.TimeoutError):
            return "honest error"
        return "answer"

    assert asyncio.run(answer()) == "honest error"
    failed = next(mark for mark in recording.marks() if mark["phase"] == "upstream_failed")
    assert failed["attrs"]["error_type"] == "headers_timeout"
    assert recording.phases()[-1] == "completed"


@pytest.mark.skipif(not hasattr(asyncio, "timeout"), reason="asyncio.timeout came with Python 3.11")
def test_a_timeout_around_a_lane_counts_its_cancellations_right(recording: Recording) -> None:
    left: list[int] = []

    @turnscope.turn
    async def answer() -> str:
        task = asyncio.current_task()
        assert task is not None
        try:
            async with asyncio.timeout(0):  # type: ignore[attr-defined, unused-ignore] # newer than the oldest Python
                with turnscope.upstream(), turnscope.tool("t"):
                    await asyncio.Event().wait()
        except TimeoutError:
            left.append(task.cancelling())  # type: ignore[attr-defined, unused-ignore] # as above
        return "honest error"

    assert asyncio.run(answer()) == "honest error"
    assert left == [0]
    assert recording.phases()[-1] == "completed"


def test_an_asynchronous_generator_that_is_cancelled_stays_cancelled(recording: Recording) -> None:
    @turnscope.turn
    async def answer() -> AsyncIterator[str]:
        yield "a"
        await asyncio.Event().wait()

    async def read() -> None:
        async for _ in answer():
            pass

    assert run_and_cancel(read).cancelled()
    assert recording.phases() == ["accepted", "started", "interrupted"]
