"""What holds for spans of any kind, in any order."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from otlp_kit import (
    AGENT,
    SECOND_NS,
    START_NS,
    Program,
    alive_until,
    call,
    line,
    said,
    tool,
    write,
)
from turnscope.phases import PHASE, lane_kind
from turnscope_analyzer.analyze import analyze
from turnscope_analyzer.sources.otlp.agents import Agents
from turnscope_analyzer.sources.otlp.records import Span, SpanEvent

if TYPE_CHECKING:
    from random import Random

    import pytest

    from turnscope_analyzer.model import Capture


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


IDS = st.integers(0, 6).map(lambda number: f"{number:016x}" if number else "")
TIMES = st.one_of(st.integers(START_NS, START_NS + 10**12), st.sampled_from([1, 9 * 10**18 - 1]))
SAID = st.fixed_dictionaries(
    {},
    optional={
        "gen_ai.operation.name": st.sampled_from(["invoke_agent", "chat", "execute_tool", "embeddings", 7, True]),
        "gen_ai.tool.call.id": st.sampled_from(["1", "2", 3, 0.5]),
        "gen_ai.response.time_to_first_chunk": st.one_of(st.floats(), st.text(max_size=3)),
        "error.type": st.one_of(st.text(max_size=3), st.sampled_from(["429", "ReadTimeout", 500, None])),
        "http.request.method": st.just("POST"),
        "url.full": st.just("https://model.example/v1/responses"),
        "logfire.span_type": st.just("pending_span"),
        "logfire.pending_parent_id": IDS,
        "turnscope.turn.id": st.sampled_from(["a", "b", 1]),
        "session.id": st.sampled_from(["s", 2, False]),
    },
)
SPANS = st.builds(
    Span,
    trace_id=st.sampled_from(["a" * 32, "b" * 32, ""]),
    span_id=IDS.filter(bool),
    parent_id=IDS,
    name=st.sampled_from(["chat", "turnscope.compaction", "turnscope.hydration", "turnscope.queue.wait", "POST"]),
    kind=st.integers(0, 5),
    start_ns=TIMES,
    end_ns=st.one_of(st.none(), TIMES),
    failed=st.booleans(),
    status_message=st.sampled_from(["", "status code: 503", "context length"]),
    attrs=SAID,
    events=st.lists(
        st.builds(
            SpanEvent,
            st.sampled_from(
                ["first_token", "turnscope.upstream.headers", "turnscope.tool.awaiting_approval", "exception"]
            ),
            st.one_of(st.just(0), TIMES),
            st.just({"exception.type": "E"}),
        ),
        max_size=2,
    ).map(tuple),
    scope=st.just(""),
    resource=st.sampled_from([{"service.name": "x"}, {"service.name": "y", "process.pid": 7}, {}]),
    file=st.just("f"),
    offset=st.integers(0, 9),
    remote_parent=st.booleans(),
)


@settings(max_examples=300)
@given(st.lists(SPANS, max_size=8), st.randoms(use_true_random=False))
def test_any_spans_give_marks_that_fit_and_do_not_depend_on_their_order(spans: list[Span], order: Random) -> None:
    found = captured(spans)
    order.shuffle(spans)

    assert {mark.process_id for mark in found.marks} == {process.process_id for process in found.processes}
    assert all(lane_kind(mark.lane) == PHASE[mark.phase].lane for mark in found.marks)
    assert all(0 < mark.at_ns < 2**63 for mark in found.marks)
    assert len({(mark.process_id, mark.seq) for mark in found.marks}) == len(found.marks)
    if len({(span.trace_id, span.span_id) for span in spans}) == len(spans):
        assert captured(spans).marks == found.marks


def captured(spans: list[Span]) -> Capture:
    agents = Agents()
    assert all(agents.take(span) for span in spans)
    (capture,) = agents.captures()
    return capture
