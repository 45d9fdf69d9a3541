"""Spans of a program that traces itself with OpenTelemetry's SDK, as turns in the journal."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, StatusCode, Tracer

import turnscope
from helpers import marks_on, run_python
from journal_kit import environment, marks
from segment_kit import verdicts
from ship_kit import attributes, by_name, records_of, spans_of
from turnscope._guard import guard
from turnscope.integrations.opentelemetry import JournalProcessor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from opentelemetry.sdk.trace import Span

    from turnscope.conventions import Role
    from turnscope.testing import Recording

HOUR_NS = 3_600_000_000_000

AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": "chat-17"}
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "large"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "gen_ai.tool.call.id": "call_1"}
POST = {"http.request.method": "POST", "url.full": "https://model.example/v1/responses"}


def traced(role_of: Callable[[Span], Role | None] | None = None, **settings: Any) -> Tracer:
    provider = TracerProvider(**settings)
    provider.add_span_processor(JournalProcessor(role_of))
    return provider.get_tracer("test")


@pytest.fixture
def tracer() -> Tracer:
    return traced()


@contextlib.contextmanager
def span(tracer: Tracer, name: str, attrs: dict[str, Any] | None = None, *, client: bool = False) -> Iterator[Any]:
    kind = SpanKind.CLIENT if client else SpanKind.INTERNAL
    with tracer.start_as_current_span(name, kind=kind, attributes=attrs) as current:
        yield current


def test_an_agent_with_its_requests_and_tools_is_a_turn(recording: Recording, tracer: Tracer) -> None:
    with span(tracer, "invoke_agent helper", AGENT) as agent:
        with span(tracer, "chat large", CHAT, client=True):
            pass
        with span(tracer, "execute_tool search", TOOL):
            pass
        with span(tracer, "chat large", CHAT, client=True):
            pass

    marks = recording.marks()
    assert [(mark["lane"], mark["phase"]) for mark in marks] == [
        ("turn", "accepted"),
        ("turn", "started"),
        ("upstream:1", "upstream_sent"),
        ("upstream:1", "upstream_completed"),
        ("tool:call_1", "tool_call"),
        ("tool:call_1", "tool_result"),
        ("upstream:2", "upstream_sent"),
        ("upstream:2", "upstream_completed"),
        ("turn", "completed"),
    ]
    assert {mark["session"] for mark in marks} == {"chat-17"}
    assert marks[0]["attrs"]["trace"] == f"{agent.get_span_context().trace_id:032x}"
    assert marks[0]["attrs"]["span"] % 2**64 == agent.get_span_context().span_id
    assert [marks[6]["attrs"][name] for name in ("step", "attempt", "model")] == [2, 1, "large"]
    assert marks[4]["attrs"]["name"] == "search"


@pytest.mark.parametrize(
    ("agent", "model", "tool"),
    [
        (*({"openinference.span.kind": kind} for kind in ("AGENT", "LLM", "TOOL")),),
        (*({"gen_ai.operation.name": name} for name in ("invoke_workflow", "generate_content", "execute_tool")),),
        ({"traceloop.span.kind": "workflow"}, {"llm.request.type": "chat"}, {"traceloop.span.kind": "tool"}),
        ({"ai.operationId": "ai.streamText"}, {"llm.request.type": "chat"}, {"mcp.method.name": "tools/call"}),
    ],
)  # fmt: skip
def test_other_conventions_are_known(
    recording: Recording, tracer: Tracer, agent: dict[str, Any], model: dict[str, Any], tool: dict[str, Any]
) -> None:
    with span(tracer, "a", agent), span(tracer, "m", model), span(tracer, "t", tool):
        assert recording.phases() == ["accepted", "started", "upstream_sent", "tool_call"]


def test_a_span_that_says_what_it_is_when_it_ends_is_known_by_its_name(recording: Recording, tracer: Tracer) -> None:
    with span(tracer, "invoke_agent helper"), span(tracer, "chat large", client=True):
        pass
    with span(tracer, "chat with the people", None):
        pass

    assert recording.phases() == ["accepted", "started", "upstream_sent", "upstream_completed", "completed"]
    assert marks_on(recording, "upstream")[0][2]["model"] == "large"


def test_what_lies_between_and_what_is_traced_twice_writes_nothing(recording: Recording, tracer: Tracer) -> None:
    with span(tracer, "invoke_agent outer", AGENT), span(tracer, "graph step"), span(tracer, "invoke_agent", AGENT):
        with span(tracer, "chat large", CHAT), span(tracer, "openai.chat", CHAT), span(tracer, "SELECT 1", client=True):
            pass
        with span(tracer, "execute_tool search", TOOL), span(tracer, "tools/call", {"mcp.method.name": "tools/call"}):
            pass

    assert recording.phases() == [
        *("accepted", "started", "upstream_sent", "upstream_completed", "tool_call", "tool_result", "completed")
    ]


def test_spans_outside_of_an_agent_are_no_turn_unless_told(recording: Recording, tracer: Tracer) -> None:
    with span(tracer, "POST /chat"), span(tracer, "chat large", CHAT, client=True):
        pass
    assert recording.marks() == []

    told = traced(lambda span: "agent" if span.name == "POST /chat" else None)
    with span(told, "POST /chat"), span(told, "chat large", CHAT, client=True):
        pass
    assert recording.phases() == ["accepted", "started", "upstream_sent", "upstream_completed", "completed"]


def test_what_failed_is_of_its_kind(recording: Recording, tracer: Tracer) -> None:
    with contextlib.suppress(ValueError), span(tracer, "invoke_agent", AGENT):
        with contextlib.suppress(KeyError), span(tracer, "execute_tool search", TOOL):
            raise KeyError("secret-of-a-customer")
        with span(tracer, "chat large", CHAT) as request:
            request.set_status(StatusCode.ERROR)
            request.set_attribute("error.type", "openai.RateLimitError")
        with span(tracer, "chat large", CHAT) as request:
            request.set_status(StatusCode.ERROR)
            request.set_attribute("error.type", "503")
        with contextlib.suppress(TimeoutError), span(tracer, "chat large", CHAT):
            raise TimeoutError
        raise ValueError

    failed = [mark["attrs"] for mark in recording.marks() if "error_type" in mark.get("attrs", {})]
    assert [(attrs["error_type"], attrs.get("status")) for attrs in failed] == [
        ("tool_error", None),
        ("rate_limited", None),
        ("server_error", 503),
        ("answer_timeout", None),
        ("other", None),
    ]
    assert [attrs["attempt"] for _, phase, attrs in marks_on(recording, "upstream") if phase == "upstream_sent"] == [
        *(1, 2, 3),
    ]
    assert recording.phases()[-1] == "failed"
    assert b"secret-of-a-customer" not in b"".join(recording.journal.lines)


@pytest.mark.parametrize(("asks", "ended"), [((), "interrupted"), (("cancel",), "cancelled")])
def test_a_turn_that_is_stopped_is_not_completed(
    recording: Recording,
    tracer: Tracer,
    asks: tuple[str, ...],
    ended: str,
) -> None:
    with contextlib.suppress(KeyboardInterrupt), span(tracer, "invoke_agent", AGENT), span(tracer, "chat", CHAT):
        for _ in asks:
            turnscope.cancel(recording.marks()[0]["turn"]).__enter__()
        raise KeyboardInterrupt

    assert recording.phases()[-2:] == ["upstream_failed", ended]


def test_spans_in_a_handler_of_an_error_are_not_ended_by_it(recording: Recording, tracer: Tracer) -> None:
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        with span(tracer, "invoke_agent", AGENT):
            pass

    assert recording.phases()[-1] == "completed"


def test_where_http_is_traced_headers_and_attempts_are_told(recording: Recording, tracer: Tracer) -> None:
    with span(tracer, "invoke_agent", AGENT), span(tracer, "chat large", CHAT, client=True):
        with span(tracer, "POST", POST, client=True) as refused:
            refused.set_attribute("http.response.status_code", 500)
            refused.set_status(StatusCode.ERROR)
        with span(tracer, "POST", POST, client=True) as answered:
            answered.set_attribute("http.response.status_code", 200)

    assert [(lane, phase, attrs.get("status")) for lane, phase, attrs in marks_on(recording, "upstream")] == [
        ("upstream:1", "upstream_sent", None),
        ("upstream:1", "upstream_failed", 500),
        ("upstream:2", "upstream_sent", None),
        ("upstream:2", "response_headers", 200),
        ("upstream:2", "upstream_completed", None),
    ]


def test_in_a_turn_that_the_program_records_spans_are_its_phases(recording: Recording, tracer: Tracer) -> None:
    with turnscope.turn("s"), span(tracer, "invoke_agent", AGENT):
        with span(tracer, "chat large", CHAT):
            pass
        with turnscope.upstream(model="large"), span(tracer, "chat large", CHAT):
            pass
        with turnscope.tool("search"), span(tracer, "execute_tool search", TOOL):
            pass

    assert recording.phases() == [
        *("accepted", "started", "upstream_sent", "upstream_completed"),
        *("upstream_sent", "upstream_completed", "tool_call", "tool_result", "completed"),
    ]


class RecordOnly(Sampler):
    def should_sample(self, *_arguments: Any, **_settings: Any) -> SamplingResult:
        return SamplingResult(Decision.RECORD_ONLY)

    def get_description(self) -> str:
        return "record only"


def test_spans_that_are_recorded_and_not_sampled_are_journaled(recording: Recording) -> None:
    with span(traced(sampler=RecordOnly()), "invoke_agent", AGENT):
        pass
    assert recording.phases() == ["accepted", "started", "completed"]

    with span(traced(sampler=ALWAYS_OFF), "invoke_agent", AGENT):  # the SDK makes no span of it at all
        pass
    assert len(recording.marks()) == 3


def test_a_fault_of_ours_never_reaches_the_program(recording: Recording) -> None:
    def fails(_span: Span) -> Role | None:
        raise ZeroDivisionError

    before = guard.swallowed
    with span(traced(fails), "invoke_agent", AGENT):
        pass

    assert guard.swallowed == before + 1
    assert recording.journal.drops["guard"] == 1


def test_after_its_shutdown_open_spans_are_still_open(recording: Recording) -> None:
    provider = TracerProvider()
    processor = JournalProcessor()
    provider.add_span_processor(processor)
    provider.get_tracer("test").start_span("invoke_agent", attributes=AGENT)

    assert processor.force_flush()
    provider.shutdown()

    assert recording.phases() == ["accepted", "started"]


FORKS = """
import os, turnscope
from opentelemetry.sdk.trace import TracerProvider
from turnscope.integrations.opentelemetry import JournalProcessor
turnscope.configure(".", otlp=False)
provider = TracerProvider()
provider.add_span_processor(JournalProcessor())
tracer = provider.get_tracer("test")
with tracer.start_as_current_span("invoke_agent"):
    child = os.fork()
    with tracer.start_as_current_span("execute_tool search"):
        pass
    if child:
        os.waitpid(child, 0)
if child == 0:
    turnscope.shutdown()
    os._exit(0)
"""


def test_a_forked_child_does_not_end_what_its_parent_began(tmp_path: Path) -> None:
    done = run_python(FORKS, tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    (turn,) = verdicts(tmp_path, everything=True).values()
    assert turn.state == "healthy"
    written = [(mark["phase"], mark["proc"]) for mark in marks(tmp_path)]
    assert [phase for phase, _ in written].count("completed") == 1
    assert len({process for phase, process in written if phase == "tool_result"}) == 2


HANGS = """
import sys, time, turnscope
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from turnscope.integrations.opentelemetry import JournalProcessor
turnscope.configure(sys.argv[1], otlp=False)
provider = TracerProvider()
provider.add_span_processor(JournalProcessor())
tracer = provider.get_tracer("test")
def inside(names):
    if not names:
        print(flush=True)
        time.sleep(60)
    kind = trace.SpanKind.CLIENT if names[0].startswith(("chat", "POST")) else trace.SpanKind.INTERNAL
    attributes = {"http.request.method": "POST", "url.path": "/v1/messages"} if names[0] == "POST" else {}
    with tracer.start_as_current_span(names[0].rstrip("."), kind=kind, attributes=attributes) as span:
        if names[0] == "POST":
            span.set_attribute("http.response.status_code", 200)
        if not names[0].endswith(".") and names[0] != "POST":
            inside(names[1:])
    inside(names[1:])
inside(sys.argv[2:])
"""
"""Spans one inside of the other; one whose name ends with a dot, and a POST, ends before the next begins."""


@contextlib.contextmanager
def hanging(folder: Path, *names: str) -> Iterator[subprocess.Popen[bytes]]:
    paths = ":".join([environment()["PYTHONPATH"], *filter(None, sys.path)])
    program = subprocess.Popen(
        [sys.executable, "-c", HANGS, str(folder), *names],
        env=environment() | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
    )
    try:
        assert program.stdout is not None
        program.stdout.readline()
        yield program
    finally:
        program.kill()
        program.communicate()


@pytest.mark.parametrize(
    ("names", "cause", "rule", "confidence"),
    [
        (("invoke_agent", "chat large"), "model_stall", "no_answer_on_file", "possible"),
        (("invoke_agent", "chat large", "POST"), "model_stall", "after_headers", "likely"),
        (("invoke_agent", "execute_tool run"), "tool_hang", "no_result", "likely"),
        (("invoke_agent", "execute_tool run."), "continuation_loss", "follow_up_not_on_file", "possible"),
    ],
)
def test_what_hangs_is_told_while_the_process_lives_and_after_it_was_killed(
    tmp_path: Path, names: tuple[str, ...], cause: str, rule: str, confidence: str
) -> None:
    with hanging(tmp_path, *names) as program:
        (alive,) = verdicts(tmp_path, now_ns=time.time_ns() + HOUR_NS).values()
        program.send_signal(signal.SIGKILL)
        program.wait()
    (killed,) = verdicts(tmp_path, now_ns=time.time_ns() + HOUR_NS).values()

    assert (alive.state, alive.cause, alive.rule, alive.confidence) == ("stuck", cause, f"{cause}.{rule}", confidence)
    assert any(told.startswith("told by OpenTelemetry spans") for told in alive.not_seen)
    assert (killed.state, killed.phase, killed.lane) == ("orphaned", alive.phase, alive.lane)


def test_what_the_program_sends_itself_is_not_sent_again(tmp_path: Path) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(JournalProcessor())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    turnscope.configure(tmp_path, otlp=False)
    with span(tracer, "invoke_agent", AGENT), span(tracer, "execute_tool search", TOOL):
        pass
    turnscope.shutdown()

    sent = spans_of(tmp_path)
    (own, tool, agent) = (*sent, *exporter.get_finished_spans())
    assert own.name == "turnscope.continuation"
    assert agent.name == "invoke_agent"
    assert own.parent is not None
    assert (own.context.trace_id, own.parent.span_id) == (agent.context.trace_id, agent.context.span_id)
    told = [record for one in records_of(tmp_path).resource_logs for record in one.scope_logs[0].log_records]
    assert {record.span_id.hex() for record in told} == {f"{one.context.span_id:016x}" for one in (agent, tool)}


def test_what_a_killed_program_never_sent_is_sent_under_its_own_ids(tmp_path: Path) -> None:
    with hanging(tmp_path, "invoke_agent", "graph step", "chat large"):
        pass

    spans = by_name(spans_of(tmp_path))

    agent, chat = spans["invoke_agent"], spans["chat large"]
    accepted, sent = (record["attrs"] for record in marks(tmp_path) if record["phase"] in {"accepted", "upstream_sent"})
    assert (agent.context.span_id, chat.context.span_id) == (accepted["span"] % 2**64, sent["span"] % 2**64)
    assert chat.parent is not None
    assert chat.parent.span_id == sent["span_above"] % 2**64
    assert attributes(chat)["error.type"] == "process_lost"
