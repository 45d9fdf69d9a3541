"""Spans of agents as turns that ended, and spans that are no turn's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import SpanKind

from otlp_kit import (
    AGENT,
    CHAT,
    START_NS,
    Program,
    call,
    report,
    said,
    story,
    tool,
    verdict,
)

if TYPE_CHECKING:
    from pathlib import Path


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
        ({"error__type": "ReadTimeout"}, "model_stall.answer_timeout"),
        ({"error__type": "ValueError"}, "unknown.other_error"),
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

    assert said(verdict(tmp_path, made)) == ("slow", "model_stall", "model_stall.slow_answer")


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
