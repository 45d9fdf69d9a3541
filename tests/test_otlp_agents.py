"""Spans of agents as turns: what the real SDK exports of a turn, and what it never does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from otlp_kit import SECOND_NS, START_NS, Program, line, write
from turnscope_analyzer.analyze import analyze

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.sdk.trace import Span as SdkSpan

    from turnscope_analyzer.model import Report, Verdict

AGENT: dict[str, Any] = {"gen_ai__operation__name": "invoke_agent", "gen_ai__conversation__id": "conversation-1"}
CHAT: dict[str, Any] = {"gen_ai__operation__name": "chat", "gen_ai__request__model": "some-model"}
TOOL: dict[str, Any] = {"gen_ai__operation__name": "execute_tool", "gen_ai__tool__name": "shell"}


def report(folder: Path, *programs: Program) -> Report:
    content = b"".join(line(made.spans()) + line(made.logs()) for made in programs)
    return analyze([write(folder, content)], everything=True)


def verdict(folder: Path, *programs: Program) -> Verdict:
    (turn,) = report(folder, *programs).turns
    return turn


def said(turn: Verdict) -> tuple[str, str | None, str]:
    return turn.state, turn.cause, turn.rule


def story(turn: Verdict) -> list[tuple[str, str]]:
    return [(stretch.lane, stretch.phase) for stretch in turn.stretches]


def alive_until(made: Program, at_s: float) -> None:
    """Let the same service do something else, so that its records reach that far."""
    made.span("GET /health", at_s - 1, at_s, kind=SpanKind.SERVER)


def call(made: Program, above: SdkSpan, start_s: float, end_s: float, **said: Any) -> SdkSpan:
    return made.span("chat some-model", start_s, end_s, above, kind=SpanKind.CLIENT, **{**CHAT, **said})


def tool(made: Program, above: SdkSpan, start_s: float, end_s: float | None, **said: Any) -> SdkSpan:
    return made.span("execute_tool shell", start_s, end_s, above, **{**TOOL, **said})


# -- turns that ended -------------------------------------------------------------------------------------


def test_an_agents_invocation_is_a_turn_and_its_calls_are_lanes(tmp_path: Path) -> None:
    made = Program()
    agent = made.span("invoke_agent helper", 0, 30, **AGENT)
    call(made, agent, 1, 5, gen_ai__response__time_to_first_chunk=2.5)
    tool(made, agent, 5, 9, gen_ai__tool__call__id="call_1")
    tool(made, agent, 5, 7, gen_ai__tool__call__id="call_2")
    call(made, agent, 10, 29)

    turn = verdict(tmp_path, made)

    assert said(turn) == ("healthy", None, "healthy.completed")
    assert turn.session_id == "conversation-1"
    assert turn.accepted_ns == START_NS
    assert story(turn) == [
        ("turn", "accepted"),
        ("turn", "started"),
        ("upstream:1", "upstream_sent"),
        ("upstream:1", "first_event"),
        ("tool:call_1", "tool_call"),
        ("tool:call_2", "tool_call"),
        ("upstream:2", "upstream_sent"),
    ]


@pytest.mark.parametrize(
    ("agent", "model"),
    [
        ({"openinference__span__kind": "AGENT", "session__id": "s"}, {"openinference__span__kind": "LLM"}),
        ({"traceloop__span__kind": "workflow"}, {"gen_ai__system": "openai", "llm__request__type": "chat"}),
        ({"ai__operationId": "ai.streamText"}, {"ai__operationId": "ai.streamText.doStream"}),
        ({"gen_ai__operation__name": "invoke_agent", "gen_ai__system": "x"}, {"gen_ai__request__model": "m"}),
        ({"http__route": "/chat"}, {"gen_ai__operation__name": "generate_content", "gen_ai__provider__name": "x"}),
    ],
    ids=["OpenInference", "OpenLLMetry", "AI SDK", "an older generation of names", "a root above a model's span"],
)
def test_a_turn_is_told_in_every_convention(tmp_path: Path, agent: dict[str, Any], model: dict[str, Any]) -> None:
    made = Program()
    root = made.span("above", 0, 9, **agent)
    made.span("in between", 0, 9, made.span("another", 0, 9, root))
    made.span("model", 1, 8, root, **model)

    turn = verdict(tmp_path, made)

    assert said(turn) == ("healthy", None, "healthy.completed")
    assert story(turn)[-1] == ("upstream:1", "upstream_sent")


def test_a_sub_agent_is_a_part_of_the_outermost_ones_turn(tmp_path: Path) -> None:
    made = Program()
    agent = made.span("invoke_agent outer", 0, 30, **AGENT)
    called = tool(made, agent, 2, 20)
    call(made, made.span("invoke_agent inner", 3, 19, called, **AGENT), 4, 18)

    assert len(report(tmp_path, made).turns) == 1


def test_two_agents_below_a_session_are_two_turns(tmp_path: Path) -> None:
    made = Program()
    session = made.span("session", 0, 100)
    for start_s in (0, 50):
        call(made, made.span("invoke_agent helper", start_s, start_s + 20, session, **AGENT), start_s + 1, start_s + 9)

    turns = report(tmp_path, made).turns

    assert [said(turn) for turn in turns] == [("healthy", None, "healthy.completed")] * 2
    assert len({turn.turn_id for turn in turns}) == 2


def test_a_call_that_a_framework_and_a_client_trace_is_one_request(tmp_path: Path) -> None:
    made = Program()
    agent = made.span("invoke_agent helper", 0, 30, **AGENT)
    call(made, call(made, agent, 1, 9), 2, 8)

    assert [lane for lane, _ in story(verdict(tmp_path, made))].count("upstream:1") == 1


@pytest.mark.parametrize(
    ("failure", "rule"),
    [
        ({"error__type": "429"}, "quota_or_auth.refused"),
        ({"error__type": "openai.RateLimitError"}, "quota_or_auth.refused"),
        ({"error__type": "ConnectError", "error": "[Errno 111] Connection refused"}, "transport.failed"),
        ({"http__response__status_code": 503, "error": "unavailable"}, "transport.failed"),
        ({"error": "Error code: 400 - maximum context length is 8192 tokens"}, "context_length.exceeded"),
        ({"error__type": "ReadTimeout", "gen_ai__response__time_to_first_chunk": 0.5}, "model_stall.idle_timeout"),
        ({"error__type": "ReadTimeout"}, "unknown.other_error"),
    ],
    ids=repr,
)
def test_a_failed_turn_says_why(tmp_path: Path, failure: dict[str, Any], rule: str) -> None:
    made = Program()
    agent = made.span("invoke_agent helper", 0, 30, error="the request failed", **AGENT)
    call(made, agent, 1, 5, **{"error": "it failed", **failure})

    assert (verdict(tmp_path, made).state, verdict(tmp_path, made).rule) == ("failed", rule)


def test_a_retry_that_went_well_leaves_the_turn_healthy(tmp_path: Path) -> None:
    made = Program()
    agent = made.span("invoke_agent helper", 0, 30, **AGENT)
    call(made, agent, 1, 5, error="the server is overloaded", error__type="500")
    call(made, agent, 6, 9)
    call(made, agent, 10, 12)

    turn = verdict(tmp_path, made)

    assert said(turn) == ("healthy", None, "healthy.completed")
    steps = [stretch.detail for stretch in turn.stretches if stretch.phase == "upstream_sent"]
    assert ["step 1, attempt 1" in steps[0], "step 1, attempt 2" in steps[1], "step 2" in steps[2]] == [True] * 3


def test_a_tool_that_failed_does_not_fail_the_turn(tmp_path: Path) -> None:
    made = Program()
    agent = made.span("invoke_agent helper", 0, 30, **AGENT)
    tool(made, agent, 5, 9, error="no such file", error__type="FileNotFoundError")
    call(made, agent, 10, 29)

    assert said(verdict(tmp_path, made)) == ("healthy", None, "healthy.completed")


def test_a_turn_that_was_cancelled_is_no_failure(tmp_path: Path) -> None:
    made = Program()
    agent = made.span("invoke_agent helper", 0, 30, error="", error__type="CancelledError", **AGENT)
    call(made, agent, 1, 5)

    assert said(verdict(tmp_path, made)) == ("cancelled", None, "cancelled.stopped")


def test_a_request_that_took_long_makes_its_turn_slow(tmp_path: Path) -> None:
    made = Program()
    agent = made.span("invoke_agent helper", 0, 400, **AGENT)
    call(made, agent, 1, 390, gen_ai__response__time_to_first_chunk=2.0)

    assert verdict(tmp_path, made).state == "slow"


# -- turns that never ended -------------------------------------------------------------------------------


def test_a_parent_that_never_came_is_a_turn_that_is_still_open(tmp_path: Path) -> None:
    made = Program()
    agent = made.span("invoke_agent helper", 0, None, **AGENT)
    call(made, agent, 1, 5)
    tool(made, agent, 5, 9)
    alive_until(made, 500)

    turn = verdict(tmp_path, made)

    assert said(turn) == ("stuck", "continuation_loss", "continuation_loss.follow_up_not_on_file")
    assert (turn.phase, turn.confidence) == ("tool_result", "possible")
    assert turn.since_ns == START_NS + 9 * SECOND_NS
    assert turn.age_ms == 491_000
    assert "no record of its acceptance: the begin of the turn is lost" in turn.not_seen


def test_the_same_turn_a_moment_later_is_not_determinable(tmp_path: Path) -> None:
    made = Program()
    call(made, made.span("invoke_agent helper", 0, None, **AGENT), 1, 5)
    alive_until(made, 20)

    assert verdict(tmp_path, made).state == "not_determinable"


def test_a_request_without_its_models_span_shows_that_the_call_is_open(tmp_path: Path) -> None:
    made = Program()
    agent = made.span("invoke_agent helper", 0, None, **AGENT)
    call(made, agent, 1, 5)
    open_call = made.span("chat some-model", 6, None, agent, kind=SpanKind.CLIENT, **CHAT)
    made.span(
        "POST",
        6,
        8,
        open_call,
        kind=SpanKind.CLIENT,
        http__request__method="POST",
        http__response__status_code=200,
        url__full="https://model.example/v1/chat/completions",
    )
    alive_until(made, 500)

    turn = verdict(tmp_path, made)

    assert said(turn) == ("stuck", "model_stall", "model_stall.after_headers")
    assert turn.since_ns == START_NS + 8 * SECOND_NS


def test_a_request_alone_tells_nothing_where_models_calls_are_not_traced(tmp_path: Path) -> None:
    made = Program()
    made.span(
        "POST",
        6,
        8,
        made.span("handler", 0, None),
        kind=SpanKind.CLIENT,
        http__request__method="POST",
        url__full="https://model.example/v1/responses",
    )
    alive_until(made, 500)

    assert report(tmp_path, made).turns == ()


def test_the_steps_of_a_turn_that_never_ended_are_one_turn(tmp_path: Path) -> None:
    made = Program()
    agent = made.span("invoke_agent helper", 0, None, **AGENT)
    call(made, made.span("step 1", 1, 9, agent), 2, 8)
    call(made, made.span("step 2", 10, None, agent), 11, 20)
    alive_until(made, 500)

    turn = verdict(tmp_path, made)

    assert turn.phase == "upstream_completed"
    assert turn.since_ns == START_NS + 20 * SECOND_NS


def test_a_lost_span_inside_a_turn_that_ended_is_not_open(tmp_path: Path) -> None:
    made = Program()
    agent = made.span("invoke_agent helper", 0, 30, **AGENT)
    call(made, made.span("lost on the way", 1, None, agent), 2, 8)
    alive_until(made, 500)

    assert said(verdict(tmp_path, made)) == ("healthy", None, "healthy.completed")


def test_a_session_that_has_not_ended_is_no_turn(tmp_path: Path) -> None:
    made = Program()
    session = made.span("session", 0, None)
    call(made, made.span("invoke_agent helper", 1, 20, session, **AGENT), 2, 9)
    alive_until(made, 500)

    assert said(verdict(tmp_path, made)) == ("healthy", None, "healthy.completed")


def test_what_may_be_a_session_or_an_agent_is_not_determinable(tmp_path: Path) -> None:
    made = Program()
    above = made.span("session or agent", 0, None)
    call(made, made.span("invoke_agent helper", 1, 20, above, **AGENT), 2, 9)
    call(made, above, 21, 25)
    alive_until(made, 500)

    assert sorted(turn.rule for turn in report(tmp_path, made).turns) == [
        "healthy.completed",
        "unknown.ends_not_on_file",
    ]


def test_a_sub_agent_that_came_back_below_an_open_turn_is_a_part_of_it(tmp_path: Path) -> None:
    made = Program()
    agent = made.span("invoke_agent outer", 0, None, **AGENT)
    called = tool(made, agent, 2, 20)
    call(made, made.span("invoke_agent inner", 3, 19, called, **AGENT), 4, 18)
    alive_until(made, 500)

    assert verdict(tmp_path, made).rule == "continuation_loss.follow_up_not_on_file"


def test_a_parent_in_another_process_is_not_taken_for_open(tmp_path: Path) -> None:
    made = Program()
    remote = SpanContext(0xABC << 64, 0xDEF, is_remote=True, trace_flags=TraceFlags(1))
    made.span("chat some-model", 1, 5, remote=remote, **CHAT)
    served = made.span("POST /chat", 10, 20, remote=remote, kind=SpanKind.SERVER)
    call(made, served, 11, 19)
    alive_until(made, 500)

    assert said(verdict(tmp_path, made)) == ("healthy", None, "healthy.completed")


def test_a_span_that_is_announced_and_never_ends_is_open(tmp_path: Path) -> None:
    made = Program()
    agent = made.span("invoke_agent helper", 0, None, **AGENT)
    called = tool(made, agent, 6, None)
    announced: dict[str, Any] = {"logfire__span_type": "pending_span"}
    made.span("invoke_agent helper", 0, 0, agent, **announced, logfire__pending_parent_id="0" * 16, **AGENT)
    above = f"{agent.get_span_context().span_id:016x}"
    made.span("execute_tool shell", 6, 6, called, **announced, logfire__pending_parent_id=above, **TOOL)
    call(made, agent, 1, 5)
    alive_until(made, 3_000)

    turn = verdict(tmp_path, made)

    assert said(turn) == ("stuck", "tool_hang", "tool_hang.no_result")
    assert turn.summary == "the tool was called and has not come back: shell"
    assert turn.accepted_ns == START_NS


def test_a_tool_that_still_runs_is_waited_for(tmp_path: Path) -> None:
    made = Program()
    agent = made.span("invoke_agent helper", 0, None, **AGENT)
    called = tool(made, agent, 6, 7)
    made.span("GET /health", 99, 100, kind=SpanKind.SERVER)
    content = json.loads(line(made.spans()))
    for span in content["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        if span["spanId"] == f"{called.get_span_context().span_id:016x}":
            del span["endTimeUnixNano"]

    (turn,) = analyze([write(tmp_path, json.dumps(content).encode())]).turns

    assert said(turn) == ("waiting", None, "waiting.tool")


def test_the_input_of_a_request_shows_that_it_was_sent(tmp_path: Path) -> None:
    made = Program()
    agent = made.span("invoke_agent helper", 0, None, **AGENT)
    call(made, agent, 1, 5)
    open_call = made.span("chat some-model", 6, None, agent, kind=SpanKind.CLIENT, **CHAT)
    made.log("gen_ai.user.message", 6, open_call, gen_ai__system="openai")
    alive_until(made, 500)

    turn = verdict(tmp_path, made)

    assert (turn.state, turn.phase, turn.confidence) == ("stuck", "upstream_sent", "possible")
    assert turn.since_ns == START_NS + 6 * SECOND_NS


# -- what is no turn --------------------------------------------------------------------------------------


def test_spans_of_a_web_service_are_counted_and_left_alone(tmp_path: Path) -> None:
    made = Program("shop")
    root = made.span("GET /cart", 0, 1, kind=SpanKind.SERVER, http__request__method="GET")
    made.span("SELECT cart", 0.1, 0.5, root, kind=SpanKind.CLIENT, db__system="postgresql")
    made.span("left open", 2, None)
    made.log("started", 0)

    found = report(tmp_path, made)

    assert found.turns == ()
    assert found.notes == (
        "otlp: 1 log records of no known program left alone",
        "otlp: 2 spans that are no agent's turn left alone",
    )


def test_a_models_call_outside_of_any_agent_is_no_turn(tmp_path: Path) -> None:
    made = Program()
    made.span("chat some-model", 0, 1, **CHAT)
    made.span("embeddings", 2, 3, gen_ai__operation__name="embeddings", gen_ai__request__model="m")

    assert report(tmp_path, made).turns == ()


# -- our own ----------------------------------------------------------------------------------------------


def test_our_own_log_records_are_marks(tmp_path: Path) -> None:
    made = Program()
    turn: dict[str, Any] = {"turnscope__turn__id": "turn-1", "session__id": "s"}
    sent = made.span("chat", 2, None, **CHAT)
    for event, at_s in (("turn.accepted", 0), ("turn.started", 1)):
        made.log(f"turnscope.{event}", at_s, **turn)
    made.log("turnscope.upstream.sent", 2, sent, **turn, turnscope__lane="upstream:1")
    made.log(
        "turnscope.upstream.headers", 3, sent, **turn, turnscope__lane="upstream:1", http__response__status_code=200
    )
    made.log("turnscope.turn.accepted", 600, turnscope__turn__id="turn-2")

    found = {turn.turn_id: turn for turn in report(tmp_path, made).turns}

    assert said(found["turn-1"]) == ("stuck", "model_stall", "model_stall.after_headers")
    assert found["turn-1"].session_id == "s"
    assert said(found["turn-2"]) == ("healthy", None, "healthy.in_progress")


def test_a_wrong_type_in_our_own_log_records_stops_nothing(tmp_path: Path) -> None:
    made = Program()
    made.log("turnscope.turn.accepted", 0, turnscope__turn__id="turn-1", turnscope__bytes="many", turnscope__slot=True)

    assert verdict(tmp_path, made).turn_id == "turn-1"


def test_phases_that_a_span_names_in_its_events_are_marks(tmp_path: Path) -> None:
    made = Program()
    agent = made.span("invoke_agent helper", 0, 400, **AGENT)
    made.span(
        "chat some-model",
        1,
        390,
        agent,
        events=[("turnscope.upstream.headers", 2, {})],
        turnscope__turn__id="turn-1",
        **CHAT,
    )

    turn = verdict(tmp_path, made)

    assert turn.turn_id == "turn-1"
    assert said(turn) == ("slow", "model_stall", "model_stall.after_headers")


# -- laws -------------------------------------------------------------------------------------------------


def _busy() -> list[bytes]:
    made = Program()
    for start_s in (0, 100):
        agent = made.span("invoke_agent helper", start_s, None if start_s else 90, **AGENT)
        call(made, made.span("step", start_s + 1, start_s + 20, agent), start_s + 2, start_s + 9, error="503")
        call(made, agent, start_s + 21, start_s + 30)
        tool(made, agent, start_s + 31, start_s + 33)
    alive_until(made, 900)
    content = json.loads(line(made.spans()))
    scope = content["resourceSpans"][0]["scopeSpans"][0]
    lines = []
    for span in scope["spans"]:
        content["resourceSpans"][0]["scopeSpans"] = [{**scope, "spans": [span]}]
        lines.append(json.dumps(content).encode() + b"\n")
    return lines


BUSY = _busy()


@settings(max_examples=10)
@given(st.permutations(BUSY), st.integers(0, len(BUSY)))
def test_spans_in_any_order_and_twice_give_the_same_verdicts(
    tmp_path_factory: pytest.TempPathFactory, order: list[bytes], twice: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    found = analyze([write(folder, b"".join([*order, *order[:twice]]))], everything=True)

    assert {(turn.turn_id, *said(turn), turn.since_ns) for turn in found.turns} == EXPECTED


EXPECTED = {
    ("000000a1000000010000000000000000", "healthy", None, "healthy.completed", START_NS + 90 * SECOND_NS),
    (
        "000000a1000000070000000000000000",
        "stuck",
        "continuation_loss",
        "continuation_loss.follow_up_not_on_file",
        START_NS + 133 * SECOND_NS,
    ),
}
