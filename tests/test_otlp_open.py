"""Turns that never ended: what the SDK exported of them, and what it never will."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from otlp_kit import (
    AGENT,
    CHAT,
    SECOND_NS,
    START_NS,
    TOOL,
    Program,
    alive_until,
    call,
    line,
    report,
    said,
    tool,
    verdict,
    write,
)
from turnscope_analyzer.analyze import analyze

if TYPE_CHECKING:
    from pathlib import Path


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

    assert said(turn) == ("stuck", "model_stall", "model_stall.no_answer_on_file")
    assert turn.confidence == "possible"
    assert turn.since_ns == START_NS + 6 * SECOND_NS


def test_one_damaged_time_does_not_move_the_horizon(tmp_path: Path) -> None:
    made = Program()
    call(made, made.span("invoke_agent helper", 0, None, **AGENT), 1, 5)
    alive_until(made, 20)
    alive_until(made, 86_400 * 300)

    assert verdict(tmp_path, made).horizon_ns == START_NS + 20 * SECOND_NS


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
    assert said(found["turn-2"]) == ("not_determinable", "unknown", "unknown.records_stop")


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
