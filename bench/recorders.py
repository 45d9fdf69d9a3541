"""The recorders that are measured side by side, each doing the same piece of work its own way.

A recorder sets itself up for a process, then for a thread, and gives the operation that is timed. Six
attributes are known when a phase begins, two when it ends; they stand in the call, as they would in a gateway.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

Op = Callable[[], None]
PerThread = Callable[[], AbstractContextManager[Op]]
Recorder = Callable[[Path], AbstractContextManager[PerThread]]


@contextmanager
def _same_for_every_thread(op: Op) -> Iterator[Op]:
    yield op


def _sdk(*, batch: bool) -> Any:
    """Return a tracer of the plain SDK, with the batch processor and an exporter that does nothing if *batch*."""
    # The peers are imported where they are measured: each process pays for one of them only.
    trace = importlib.import_module("opentelemetry.sdk.trace")
    export = importlib.import_module("opentelemetry.sdk.trace.export")
    provider = trace.TracerProvider()
    if batch:

        class Nowhere(export.SpanExporter):  # type: ignore[misc, name-defined]  # the base is looked up at run time
            def export(self, spans: object) -> object:  # noqa: ARG002  # the SDK's interface
                return export.SpanExportResult.SUCCESS

        provider.add_span_processor(export.BatchSpanProcessor(Nowhere()))
    return provider.get_tracer("bench")


def _sdk_recorder(*, batch: bool) -> Recorder:
    @contextmanager
    def recorder(_folder: Path) -> Iterator[PerThread]:
        tracer = _sdk(batch=batch)

        def op() -> None:
            begin = {
                "model": "gpt-5-codex",
                "purpose": "turn",
                "window": 272_000,
                "tokens": 18_213,
                "kind": "message",
                "records": 42,
            }
            with tracer.start_as_current_span("upstream", attributes=begin) as span:
                span.set_attribute("status", 200)
                span.set_attribute("bytes", 48_120)

        yield lambda: _same_for_every_thread(op)

    return recorder


@contextmanager
def _journaled(folder: Path) -> Iterator[PerThread]:
    """The plain SDK and our processor: each span is a request in the turn of the thread, on disk at both its ends."""
    turnscope = importlib.import_module("turnscope")
    bridge = importlib.import_module("turnscope.integrations.opentelemetry")
    trace = importlib.import_module("opentelemetry.sdk.trace")
    client = importlib.import_module("opentelemetry.trace").SpanKind.CLIENT
    turnscope.configure(folder, service="bench", otlp=False)
    provider = trace.TracerProvider()
    provider.add_span_processor(bridge.JournalProcessor())
    tracer = provider.get_tracer("bench")

    def op() -> None:
        begin = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "gpt-5-codex",
            "window": 272_000,
            "tokens": 18_213,
            "kind": "message",
            "records": 42,
        }
        with tracer.start_as_current_span("chat gpt-5-codex", kind=client, attributes=begin) as span:
            span.set_attribute("status", 200)
            span.set_attribute("bytes", 48_120)

    @contextmanager
    def per_thread() -> Iterator[Op]:
        with tracer.start_as_current_span("invoke_agent bench", attributes={"gen_ai.operation.name": "invoke_agent"}):
            yield op

    yield per_thread
    turnscope.shutdown()


@contextmanager
def _logfire(_folder: Path) -> Iterator[PerThread]:
    logfire = importlib.import_module("logfire")
    logfire.configure(send_to_logfire=False, console=False, inspect_arguments=False)

    def op() -> None:
        with logfire.span(
            "upstream", model="gpt-5-codex", purpose="turn", window=272_000, tokens=18_213, kind="message", records=42
        ) as span:
            span.set_attribute("status", 200)
            span.set_attribute("bytes", 48_120)

    yield lambda: _same_for_every_thread(op)


@contextmanager
def _eliot(folder: Path) -> Iterator[PerThread]:
    eliot = importlib.import_module("eliot")
    with (folder / "eliot.log").open("ab") as file:
        eliot.to_file(file)

        def op() -> None:
            with eliot.start_action(
                action_type="upstream",
                model="gpt-5-codex",
                purpose="turn",
                window=272_000,
                tokens=18_213,
                kind="message",
                records=42,
            ) as action:
                action.add_success_fields(status=200, bytes=48_120)

        yield lambda: _same_for_every_thread(op)


def _turnscope(make_op: Callable[[Any, Any], Op]) -> Recorder:
    """Return a recorder of ours; *make_op* gets the package and the turn of the thread."""

    @contextmanager
    def recorder(folder: Path) -> Iterator[PerThread]:
        turnscope = importlib.import_module("turnscope")
        turnscope.configure(folder, service="bench")

        @contextmanager
        def per_thread() -> Iterator[Op]:
            with turnscope.turn("0b9f2a3e-4c1d-4c5e-9a51-7d4f6f1f0c11") as turn:
                yield make_op(turnscope, turn)

        yield per_thread
        turnscope.shutdown()

    return recorder


def _mark(_turnscope: Any, turn: Any) -> Op:
    return _mark_by(turn.mark)


def _current_mark(turnscope: Any, _turn: Any) -> Op:
    return _mark_by(turnscope.mark)


def _mark_by(mark: Callable[..., None]) -> Op:
    return lambda: mark("response_headers", "upstream:1", status=200, model="gpt-5-codex", attempt=1, step=2)


def _two_marks(_turnscope: Any, turn: Any) -> Op:
    mark = turn.mark

    def op() -> None:
        mark(
            "hydration_started",
            model="gpt-5-codex",
            purpose="turn",
            window=272_000,
            tokens=18_213,
            kind="message",
            records=42,
        )
        mark("hydration_completed", status=200, bytes=48_120)

    return op


def _phase(_turnscope: Any, turn: Any) -> Op:
    phase = turn.phase

    def op() -> None:
        with phase(
            "hydration_started",
            model="gpt-5-codex",
            purpose="turn",
            window=272_000,
            tokens=18_213,
            kind="message",
            records=42,
        ):
            pass

    return op


def _tool(turnscope: Any, _turn: Any) -> Op:
    tool = turnscope.tool

    def op() -> None:
        with tool("shell", call_id="call_14a3d139", kind="function", window=1, tokens=18_213, records=42) as call:
            call.result(ok=True, bytes=48_120)

    return op


def _request(turnscope: Any, _turn: Any) -> Op:
    upstream = turnscope.upstream

    def op() -> None:
        with upstream(
            model="gpt-5-codex", purpose="turn", window=272_000, tokens=18_213, kind="message", records=42
        ) as request:
            request.complete(status=200, bytes=48_120)

    return op


RECORDERS: dict[str, Recorder] = {
    "sdk": _sdk_recorder(batch=False),
    "sdk_batch": _sdk_recorder(batch=True),
    "journaled": _journaled,
    "logfire": _logfire,
    "eliot": _eliot,
    "mark": _turnscope(_mark),
    "current_mark": _turnscope(_current_mark),
    "two_marks": _turnscope(_two_marks),
    "phase": _turnscope(_phase),
    "tool": _turnscope(_tool),
    "request": _turnscope(_request),
}
"""Recorder by its name."""
