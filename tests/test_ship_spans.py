"""What a journal becomes as spans: a tree by the GenAI conventions, each once, whatever happened to its process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import StatusCode

import turnscope
from journal_kit import SECOND_NS, SMALL_BYTES, START_NS, Clocks, line, padded, segments, stepped
from segment_kit import header, write
from ship_kit import SPANS_PER_TURN, attributes, by_name, ids_of, journal, records_of, spans_of, turn_lines
from turnscope.ship import names
from turnscope.ship.batches import Batches
from turnscope.ship.cursor import Cursor
from turnscope.ship.makers import readable_maker
from turnscope.ship.names import NAMES, generation_in
from turnscope.ship.readable import Readable
from turnscope.ship.spans import Spans
from turnscope.ship.story import Step, Story

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

SHIP = Path(names.__file__).parent


def tree(spans: list[ReadableSpan]) -> list[tuple[str, str, int, int]]:
    """Return name, parent's name, begin and end (s since the first) of each span, by their begins."""
    by_id = {span.context.span_id: span for span in spans}
    first = min(span.start_time or 0 for span in spans)
    rows = [
        (
            span.name,
            by_id[span.parent.span_id].name if span.parent is not None else "",
            ((span.start_time or 0) - first) // SECOND_NS,
            ((span.end_time or 0) - first) // SECOND_NS,
        )
        for span in spans
    ]
    return sorted(rows, key=lambda row: (row[2], -row[3], row[0] != "invoke_agent", len(row[0])))


def test_a_turn_is_an_agent_with_its_requests_its_tools_and_their_phases(tmp_path: Path) -> None:
    spans = spans_of(journal(tmp_path, 1))

    assert tree(spans) == [
        ("invoke_agent", "", 0, 8),
        ("turnscope.turn.accepted", "invoke_agent", 0, 1),
        ("chat large", "invoke_agent", 2, 5),
        ("turnscope.upstream.sent", "chat large", 2, 3),
        ("turnscope.upstream.headers", "chat large", 3, 4),
        ("turnscope.upstream.first_event", "chat large", 4, 5),
        ("execute_tool shell", "invoke_agent", 6, 7),
        ("turnscope.continuation", "invoke_agent", 7, 8),
    ]
    assert len(spans) == SPANS_PER_TURN


def test_spans_carry_the_names_of_the_conventions(tmp_path: Path) -> None:
    spans = by_name(spans_of(journal(tmp_path, 1, service="gw")))

    session = {"gen_ai.conversation.id": "s1", "session.id": "s1", "turnscope.turn.id": "turn0"}
    assert attributes(spans["invoke_agent"]) == session | {
        "gen_ai.operation.name": "invoke_agent",
        "turnscope.lane": "turn",
        "turnscope.turn.outcome": "completed",
    }
    assert attributes(spans["chat large"]) == session | {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "large",
        "gen_ai.response.time_to_first_chunk": 2.0,
        "http.response.status_code": 200,
        "turnscope.lane": "upstream:1",
        "turnscope.turn.step": 1,
        "turnscope.upstream.attempt": 1,
        "turnscope.upstream.purpose": "turn",
    }
    assert attributes(spans["execute_tool shell"]) == session | {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.call.id": "c1",
        "gen_ai.tool.name": "shell",
        "turnscope.bytes": 12,
        "turnscope.lane": "tool:c1",
    }
    assert [event.name for event in spans["chat large"].events] == [
        "turnscope.upstream.headers",
        "turnscope.upstream.first_event",
    ]
    resource = spans["invoke_agent"].resource.attributes
    assert (resource["service.name"], resource["service.instance.id"]) == ("gw", "feedfacecafe")
    assert (spans["chat large"].kind.name, spans["invoke_agent"].kind.name) == ("CLIENT", "INTERNAL")


def test_what_the_conventions_have_a_name_for_is_called_by_it(tmp_path: Path) -> None:
    given: dict[str, object] = {"provider": "openai", "input_tokens": 90, "output_tokens": 7, "region": "north"}
    write(
        tmp_path,
        header(),
        *(line(1), line(2, phase="upstream_sent", lane="upstream:1", at_s=1)),
        *(line(3, phase="upstream_completed", lane="upstream:1", at_s=2, attrs=given), line(4, phase="completed")),
    )

    said = attributes(by_name(spans_of(tmp_path))["chat"])

    assert said.items() >= {
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.usage.input_tokens", 90),
        ("gen_ai.usage.output_tokens", 7),
        ("turnscope.attr.region", "north"),
    }


def test_a_stop_from_another_process_belongs_to_the_session_of_its_turn(tmp_path: Path) -> None:
    write(tmp_path, header(), line(1), line(2, phase="completed", at_s=3), name="1.jsonl")
    write(
        tmp_path,
        header(proc="bbbbbbbbbbbb"),
        line(1, phase="cancel_requested", lane="cancel", at_s=4, proc="bbbbbbbbbbbb", session=""),
        line(2, phase="cancel_result", lane="cancel", at_s=5, proc="bbbbbbbbbbbb", session=""),
        name="2.jsonl",
    )

    assert {attributes(span)["session.id"] for span in spans_of(tmp_path)} == {"s1"}
    records = records_of(tmp_path).resource_logs
    told = [record for one in records for record in one.scope_logs[0].log_records]
    sessions = [pair.value.string_value for one in told for pair in one.attributes if pair.key == "session.id"]
    assert sessions == ["s1"] * 4


def test_a_switch_chooses_the_generation_of_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = by_name(spans_of(journal(tmp_path, 1)))
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http, gen_ai_latest_experimental")
    second = by_name(spans_of(tmp_path))

    added = attributes(second["chat large"]).items() - attributes(first["chat large"]).items()
    assert added == {("gen_ai.response.status", "completed")}
    assert generation_in({}) == 1


def test_every_name_of_the_table_is_used() -> None:
    used = "".join(path.read_text() for path in (SHIP / "spans.py", SHIP / "events.py"))

    assert [name.fact for name in NAMES if f'"{name.fact}"' not in used] == []


@pytest.mark.parametrize(
    ("phase", "attrs", "status", "error"),
    [
        ("completed", {}, StatusCode.UNSET, None),
        ("failed", {"error_type": "server_error"}, StatusCode.ERROR, "server_error"),
        ("failed", {}, StatusCode.ERROR, "other"),
        ("cancelled", {}, StatusCode.UNSET, "cancelled"),
        ("interrupted", {}, StatusCode.ERROR, "interrupted"),
        ("interrupted", {"recovered": True, "error_type": "process_lost"}, StatusCode.ERROR, "process_lost"),
    ],
)
def test_the_end_of_a_turn_is_the_status_of_its_span(
    tmp_path: Path, phase: str, attrs: dict[str, object], status: StatusCode, error: str | None
) -> None:
    write(tmp_path, header(), line(1), line(2, phase=phase, at_s=3, attrs=attrs))

    (span,) = spans_of(tmp_path)

    assert (span.status.status_code, attributes(span).get("error.type")) == (status, error)


def test_what_is_open_when_its_turn_ends_ends_with_it_and_says_so(tmp_path: Path) -> None:
    write(
        tmp_path,
        header(),
        *(line(1), line(2, phase="tool_call", lane="tool:c1", at_s=1, attrs={"name": "shell"})),
        line(3, phase="cancelled", at_s=3),
        line(4, phase="tool_result", lane="tool:c1", at_s=9),
    )

    spans = by_name(spans_of(tmp_path))

    assert sorted(spans) == ["execute_tool shell", "invoke_agent"]
    assert attributes(spans["execute_tool shell"])["turnscope.open_at_end"] is True
    assert spans["execute_tool shell"].end_time == START_NS + 3 * SECOND_NS


def test_a_turn_that_begins_again_while_its_client_stays_has_a_span_of_its_own(tmp_path: Path) -> None:
    write(
        tmp_path,
        header(),
        *(line(1), line(2, phase="renderer_attached", lane="renderer:c1", at_s=1), line(3, phase="completed", at_s=2)),
        *(line(4, at_s=5, attrs={"resumed": True}), line(5, phase="completed", at_s=6)),
        line(6, phase="renderer_detached", lane="renderer:c1", at_s=9),
    )

    spans = spans_of(tmp_path)

    assert [(name, begin, end) for name, _, begin, end in tree(spans)] == [
        ("invoke_agent", 0, 2),
        ("turnscope.renderer", 1, 9),
        ("invoke_agent", 5, 6),
    ]
    assert len({span.context.span_id for span in spans}) == 3


def test_a_clock_that_was_set_back_does_not_end_a_span_before_its_begin(tmp_path: Path) -> None:
    back = line(2, phase="completed", at_s=4).replace(
        str(START_NS + 4 * SECOND_NS).encode(), str(START_NS - 7).encode()
    )
    write(tmp_path, header(), line(1), back)

    (span,) = spans_of(tmp_path)

    assert (span.end_time or 0) - (span.start_time or 0) == 4 * SECOND_NS


def test_a_span_is_sent_once_however_often_segments_repeat_its_marks(tmp_path: Path) -> None:
    held: list[bytes] = [line(1, "long"), line(2, "long", "upstream_sent", "upstream:1")]
    recorded = stepped(tmp_path, Clocks(), segment_bytes=SMALL_BYTES, carry=lambda: held)
    for mark in held:
        recorded.append(mark)
    for number in range(600):
        recorded.append(padded(10 + 2 * number, f"t{number}", "accepted", "turn"))
        recorded.append(line(11 + 2 * number, f"t{number}", "completed"))
    recorded.append(line(5000, "long", "upstream_completed", "upstream:1"))
    recorded.append(line(5001, "long", "completed"))

    spans = spans_of(tmp_path)

    assert len(segments(tmp_path)) > 3
    assert sum(span.name == "invoke_agent" for span in spans) == 601
    assert sum(span.name == "chat" for span in spans) == 1
    assert len({span.context.span_id for span in spans}) == len(spans)


@pytest.mark.parametrize("limit", [1, 3, 7])
def test_going_on_from_any_batch_gives_the_same_spans(tmp_path: Path, limit: int) -> None:
    folder = journal(tmp_path, 5)
    cursor, found = Cursor(), []
    while True:
        batches = Batches(folder, readable_maker())
        batches.take_up(cursor)
        items = batches.next(limit)
        if not items:
            break
        batches.put_away(cursor)
        found += [f"{span.context.span_id:016x}" for span in items]

    assert sorted(found) == ids_of(folder)


def test_spans_of_other_instrumentation_find_their_parents(tmp_path: Path) -> None:
    turnscope.configure(tmp_path, otlp=False)
    with turnscope.turn("s") as turn:
        of_turn = trace.get_current_span().get_span_context()
        with turn.upstream(model="m"):
            of_request = trace.get_current_span().get_span_context()
    turnscope.shutdown()

    spans = by_name(spans_of(tmp_path))

    assert spans["invoke_agent"].context.span_id == of_turn.span_id
    assert spans["chat m"].context.span_id == of_request.span_id
    assert {span.context.trace_id for span in spans.values()} == {of_turn.trace_id}


def test_a_turn_inside_of_a_trace_is_a_part_of_it(tmp_path: Path) -> None:
    inside = {"trace": "ab" * 16, "parent": "cd" * 8}
    write(tmp_path, header(), line(1, attrs=dict(inside)), line(2, phase="completed"))

    (span,) = spans_of(tmp_path)

    assert span.parent is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (inside["trace"], inside["parent"])


def test_turns_of_a_process_of_another_host_stay_open(tmp_path: Path) -> None:
    write(tmp_path, header(), turn_lines(0), turn_lines(1, ends=False))

    assert len(spans_of(tmp_path)) == SPANS_PER_TURN


def test_phases_below_a_request_bear_no_name_of_a_request(tmp_path: Path) -> None:
    phases = [span for span in spans_of(journal(tmp_path, 1)) if span.name.startswith("turnscope.upstream")]

    assert len(phases) == 3
    assert [key for span in phases for key in attributes(span) if key.startswith("gen_ai.")] == []


def test_an_attribute_of_the_gateways_own_is_kept_apart(tmp_path: Path) -> None:
    write(tmp_path, header(), line(1, attrs={"colour": "red", "slot": 3, "list": [1]}), line(2, phase="completed"))

    (span,) = spans_of(tmp_path)

    assert attributes(span)["turnscope.attr.colour"] == "red"
    assert [key for key in attributes(span) if "slot" in key or "list" in key] == []


def test_a_phase_that_the_vocabulary_has_not_makes_no_span() -> None:
    story = Story()

    taken = story.take(Step("t", "", "turn", "invented_later", START_NS, 1, 1, "p", {}))

    assert taken is not None
    assert list(taken[1]) == []
    assert len(story) == 0
    assert Spans(1, Readable()).of(*_closed(story)) != []


def _closed(story: Story) -> tuple[Any, Resource]:
    story.take(Step("u", "", "turn", "accepted", START_NS, 1, 1, "p", {}))
    taken = story.take(Step("u", "", "turn", "completed", START_NS, 1, 2, "p", {}))
    assert taken is not None
    return taken[1][0], Resource({"pid": os.getpid()})
