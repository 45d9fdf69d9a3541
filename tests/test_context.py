from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import turnscope
from turnscope import testing
from turnscope._otel import span_id
from turnscope.current import current_scope
from turnscope.turn import trace_id_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from turnscope.testing import Recording


class Otel:
    """A tracer of the real SDK, and a recorder that carries its context along."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = provider.get_tracer("gateway")

    def parents(self) -> dict[str, tuple[str, str | None]]:
        """Return trace id and parent span id of each finished span, by its name."""
        return {span.name: (hex_of(span)[0], hex_of(span)[1]) for span in self._exporter.get_finished_spans()}

    def lane(self, lane: str, turn: str = "turn-1") -> str:
        """Return the span id of a lane by the first mark on it."""
        first = next(mark for mark in self.recording.marks(turn) if mark["lane"] == lane)
        return span_id(first["proc"], turn, lane, first["seq"])


def hex_of(span: ReadableSpan) -> tuple[str, str | None]:
    assert span.context is not None
    return f"{span.context.trace_id:032x}", None if span.parent is None else f"{span.parent.span_id:016x}"


@pytest.fixture
def otel(caplog: pytest.LogCaptureFixture) -> Iterator[Otel]:
    """OpenTelemetry is carried along; when the test is over, it has logged nothing."""
    with testing.recorder(opentelemetry=True) as recording:
        yield Otel(recording)
    gc.collect()
    assert [
        record.getMessage() for record in caplog.get_records("call") if record.name.startswith("opentelemetry")
    ] == []
    assert not otel_trace.get_current_span().get_span_context().is_valid


def test_the_current_turn_is_the_one_whose_body_runs(recording: Recording) -> None:
    with turnscope.turn("s") as outer:
        with turnscope.turn("s") as inner, turnscope.tool("t"):
            assert turnscope.current_turn() is inner
        assert turnscope.current_turn() is outer

    assert turnscope.current_turn() is None


def test_tasks_inherit_the_turn_and_keep_their_lanes_apart(recording: Recording) -> None:
    async def call(name: str, both: asyncio.Event, started: list[str]) -> str:
        with turnscope.tool(name, call_id=name):
            started.append(name)
            if len(started) == 2:
                both.set()
            await both.wait()
            turnscope.mark("awaiting_approval")
            scope = current_scope()
            assert scope is not None
            return scope.lane

    async def main() -> list[str]:
        both, started = asyncio.Event(), list[str]()
        with turnscope.turn("s"):
            return list(await asyncio.gather(call("a", both, started), call("b", both, started)))

    assert asyncio.run(main()) == ["tool:a", "tool:b"]
    waiting = {mark["lane"] for mark in recording.marks() if mark["phase"] == "awaiting_approval"}
    assert waiting == {"tool:a", "tool:b"}


def test_a_thread_has_the_turn_when_it_runs_in_a_copy_of_the_context(recording: Recording) -> None:
    seen: list[turnscope.Turn | None] = []

    def look() -> None:
        seen.append(turnscope.current_turn())

    with turnscope.turn("s") as turn:
        for target in (look, lambda: contextvars.copy_context().run(look)):
            context = contextvars.copy_context()
            run = look if target is look else lambda context=context: context.run(look)
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()

    assert seen == [None, turn]


def test_a_lane_that_outlives_the_one_around_it_does_not_bring_it_back(recording: Recording) -> None:
    with turnscope.turn("s") as turn:
        outer, inner = turn.tool("a"), turn.tool("b")
        outer.__enter__()
        inner.__enter__()
        outer.__exit__(None, None, None)
        inner.__exit__(None, None, None)

        assert current_scope() is turn


def test_the_code_between_the_steps_of_a_generator_is_not_in_its_turn(recording: Recording) -> None:
    inside: list[Any] = []

    @turnscope.turn
    def answer(session: str) -> Iterator[str]:
        with turnscope.tool("t"):
            inside.append(current_scope())
            yield "a"
            inside.append(current_scope())
            yield "b"

    outside = [current_scope() for _ in answer("s")]

    assert outside == [None, None]
    assert inside[0] is inside[1]
    assert inside[0].lane == "tool:1"


def test_generators_that_take_turns_do_not_mix(recording: Recording) -> None:
    @turnscope.turn
    def answer(session: str) -> Iterator[str]:
        for _ in range(3):
            turn = turnscope.current_turn()
            assert turn is not None
            yield turn.session

    pairs = list(zip(answer("a"), answer("b"), strict=True))

    assert pairs == [("a", "b")] * 3


def test_each_step_of_an_asynchronous_generator_may_run_in_another_task(otel: Otel) -> None:
    sent: list[object] = []

    @turnscope.turn
    async def answer(session: str) -> AsyncIterator[str]:
        with turnscope.upstream():
            for item in "abc":
                await asyncio.sleep(0)
                with otel.tracer.start_as_current_span(item):
                    await asyncio.sleep(0)
                sent.append((yield item))

    async def main() -> list[str]:
        items: Any = answer("s")
        got = [await asyncio.create_task(items.__anext__())]
        got.append(await asyncio.create_task(items.asend("x")))
        got.append(await asyncio.create_task(items.asend("y")))
        with pytest.raises(StopAsyncIteration):
            await items.asend("z")
        assert turnscope.current_turn() is None
        return got

    assert asyncio.run(main()) == ["a", "b", "c"]
    assert sent == ["x", "y", "z"]
    assert otel.recording.phases()[-2:] == ["upstream_completed", "completed"]
    assert set(otel.parents().values()) == {(trace_id_of("turn-1"), otel.lane("upstream:1"))}


def test_an_asynchronous_generator_that_is_dropped_is_closed_elsewhere_without_a_trace(otel: Otel) -> None:
    @turnscope.turn
    async def answer(session: str) -> AsyncIterator[str]:
        with turnscope.tool("t"):
            yield "a"

    async def main() -> None:
        with turnscope.turn("other") as other:
            items = answer("s")
            assert await items.__anext__() == "a"
            del items
            gc.collect()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert turnscope.current_turn() is other

    asyncio.run(main())

    assert otel.recording.phases("turn-2") == ["accepted", "started", "tool_call", "tool_result", "interrupted"]


def test_an_asynchronous_generator_hands_on_what_is_thrown_in(recording: Recording) -> None:
    @turnscope.turn
    async def answer(session: str) -> AsyncIterator[str]:
        try:
            yield "a"
        except LookupError:
            yield "caught"

    async def main() -> str:
        items: Any = answer("s")
        await items.__anext__()
        caught: str = await items.athrow(LookupError())
        await items.aclose()
        return caught

    assert asyncio.run(main()) == "caught"
    assert recording.phases()[-1] == "interrupted"


def test_a_span_started_inside_a_lane_is_its_child(otel: Otel) -> None:
    with turnscope.turn("s") as turn:
        with otel.tracer.start_as_current_span("in turn"):
            pass
        with turnscope.tool("t", call_id="c"), otel.tracer.start_as_current_span("in tool"):
            pass
        with turnscope.upstream() as upstream:
            upstream.headers(200)
            with otel.tracer.start_as_current_span("in upstream"):
                pass
        with otel.tracer.start_as_current_span("after"):
            pass

    trace = trace_id_of("turn-1")
    assert turn.trace_id == trace
    assert otel.parents() == {
        "in turn": (trace, otel.lane("turn")),
        "in tool": (trace, otel.lane("tool:c")),
        "in upstream": (trace, otel.lane("upstream:1")),
        "after": (trace, otel.lane("turn")),
    }


def test_a_lane_inside_a_span_of_the_gateways_own_is_still_the_parent(otel: Otel) -> None:
    with turnscope.turn("s"), otel.tracer.start_as_current_span("own"):
        with turnscope.tool("t"), otel.tracer.start_as_current_span("child"):
            pass
        with otel.tracer.start_as_current_span("sibling"):
            pass

    parents = otel.parents()
    assert parents["child"][1] == otel.lane("tool:1")
    assert parents["own"][1] == otel.lane("turn")
    assert parents["sibling"][1] not in {otel.lane("tool:1"), otel.lane("turn")}


def test_a_turn_joins_the_trace_that_it_is_called_in(otel: Otel) -> None:
    with otel.tracer.start_as_current_span("request") as request, turnscope.turn("s") as turn:
        pass

    context = request.get_span_context()
    attrs = otel.recording.marks()[0]["attrs"]
    assert attrs == {"trace": f"{context.trace_id:032x}", "parent": f"{context.span_id:016x}"}
    assert turn.trace_id == attrs["trace"]


def test_a_turn_of_its_own_has_a_trace_id_that_follows_from_its_id(recording: Recording) -> None:
    turnscope.accept("s", turn_id="abc")

    assert recording.marks()[0]["attrs"] == {"trace": "cf4ab791c62b8d2b2109c90275287816"}


def test_spans_of_a_sync_handler_in_a_worker_thread_do_not_leak(otel: Otel) -> None:
    @turnscope.turn
    def answer(session: str) -> Iterator[str]:
        with turnscope.tool("t"):
            yield "a"
            otel.tracer.start_span("inside").end()

    async def main() -> list[str]:
        items = answer("s")
        # As Starlette iterates a plain generator: each step in a thread, in a copy of the context.
        return [str(await asyncio.to_thread(next, items, None)) for _ in range(2)]

    assert asyncio.run(main()) == ["a", "None"]
    assert otel.recording.phases()[-1] == "completed"
    assert otel.parents()["inside"][1] == otel.lane("tool:1")
