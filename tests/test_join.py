from __future__ import annotations

import random
from dataclasses import replace

from turnscope_analyzer.gathered import Gathered
from turnscope_analyzer.model import Capture, Finding, Mark, Process, Reject
from turnscope_analyzer.sources.join import join

S = 1_000_000_000
ROLLOUT = Process("codex:1", "codex", "unknown", 100 * S, "the last record", "r.jsonl", shows_requests=False)
TRACE = Process("codex:1:log", "codex", "killed", 90 * S, "the last row", "logs.sqlite", detail=2)


def mark(process: Process, lane: str, phase: str, at_s: float, turn: str = "t1", **attrs: bool) -> Mark:
    at_ns = int(at_s * S)
    return Mark(turn, "s1", lane, phase, at_ns, at_ns, at_ns // 1000, process.process_id, process.file, 7, attrs)


def story(marks: list[Mark]) -> list[str]:
    return [f"{mark.lane} {mark.phase} {mark.at_ns / S:g}" for mark in marks]


BOTH = {process.process_id: process for process in (ROLLOUT, TRACE)}
ROLLOUT_MARKS = [
    mark(ROLLOUT, "turn", "accepted", 10),
    mark(ROLLOUT, "turn", "started", 10),
    mark(ROLLOUT, "upstream:1", "first_item", 15, late=True),
    mark(ROLLOUT, "tool:a", "tool_call", 15),
    mark(ROLLOUT, "upstream:1", "upstream_completed", 15),
    mark(ROLLOUT, "tool:a", "tool_result", 20),
]
TRACE_MARKS = [
    mark(TRACE, "turn", "accepted", 9.9),
    mark(TRACE, "upstream:1", "upstream_sent", 10.5),
    mark(TRACE, "upstream:1", "response_headers", 11),
    mark(TRACE, "upstream:1", "upstream_completed", 15),
    mark(TRACE, "continuation", "continuation", 20.1),
    mark(TRACE, "upstream:2", "upstream_sent", 20.2),
]


def test_requests_are_those_of_the_view_with_the_most_detail_and_the_rest_comes_from_all() -> None:
    joined = join([*ROLLOUT_MARKS, *TRACE_MARKS], BOTH)

    assert story(joined.marks) == [
        "turn accepted 9.9",
        "turn started 10",
        "upstream:1 upstream_sent 10.5",
        "upstream:1 response_headers 11",
        "tool:a tool_call 15",
        "upstream:1 upstream_completed 15",
        "tool:a tool_result 20",
        "continuation continuation 20.1",
        "upstream:2 upstream_sent 20.2",
    ]
    assert {mark.process_id for mark in joined.marks} == {joined.process.process_id}
    assert {mark.file for mark in joined.marks} == {"r.jsonl", "logs.sqlite"}


def test_what_another_view_saw_later_is_not_lost() -> None:
    late = mark(ROLLOUT, "upstream:2", "upstream_completed", 60)

    joined = join([*ROLLOUT_MARKS, *TRACE_MARKS, late], BOTH)

    assert story(joined.marks)[-1] == "upstream:2 upstream_completed 60"


def test_requests_that_the_best_view_no_longer_or_not_yet_has_come_from_another() -> None:
    early = mark(ROLLOUT, "upstream:1", "upstream_completed", 3)
    done = mark(TRACE, "upstream:2", "upstream_completed", 30)
    late = mark(ROLLOUT, "upstream:7", "first_item", 60)

    joined = join([*ROLLOUT_MARKS, *TRACE_MARKS, early, done, late], BOTH)

    upstream = [told for told in story(joined.marks) if told.startswith("upstream")]
    assert (upstream[0], upstream[-1]) == ("upstream:1.1 upstream_completed 3", "upstream:7.1 first_item 60")


def test_a_view_that_ends_before_the_turns_last_mark_cannot_show_that_nothing_was_sent() -> None:
    short = {**BOTH, TRACE.process_id: replace(TRACE, horizon_ns=21 * S)}
    answered = [mark for mark in TRACE_MARKS if mark.at_ns <= 15 * S]

    assert not join([*ROLLOUT_MARKS, *answered], short).process.shows_requests
    assert join([*ROLLOUT_MARKS, *answered], BOTH).process.shows_requests
    assert join([*ROLLOUT_MARKS, *TRACE_MARKS], short).process.shows_requests


def test_the_time_of_a_moment_is_the_exact_one_or_else_the_earlier_one() -> None:
    done = [mark(ROLLOUT, "compaction", "compaction_completed", 30, late=True)]
    seen = [mark(TRACE, "compaction", "compaction_completed", 31, late=True)]
    exact = [mark(ROLLOUT, "compaction", "compaction_completed", 32)]

    assert story(join([*TRACE_MARKS, *done, *seen], BOTH).marks)[-1].endswith("compaction_completed 30")
    assert story(join([*TRACE_MARKS, *exact, *seen], BOTH).marks)[-1].endswith("compaction_completed 32")


def test_a_compaction_that_was_only_inferred_yields_to_a_request_that_was_seen() -> None:
    inferred = mark(ROLLOUT, "compaction", "compaction_started", 20.1)._replace(attrs={"kind": "likely"})

    assert not any(mark.lane == "compaction" for mark in join([*TRACE_MARKS, inferred], BOTH).marks)
    assert any(mark.lane == "compaction" for mark in join([*TRACE_MARKS[:4], inferred], BOTH).marks)


def test_the_process_of_a_joined_turn_knows_what_any_view_knows() -> None:
    process = join([*ROLLOUT_MARKS, *TRACE_MARKS], BOTH).process

    assert (process.fate, process.horizon_ns, process.shows_requests) == ("killed", 100 * S, True)


def test_the_order_of_the_marks_does_not_matter() -> None:
    marks = [*ROLLOUT_MARKS, *TRACE_MARKS]
    expected = join(marks, BOTH)

    random.Random(7).shuffle(marks)

    assert join(marks, BOTH) == expected


def test_a_turn_has_one_end_whatever_the_views_call_it() -> None:
    ends = [mark(ROLLOUT, "turn", "completed", 30), mark(TRACE, "turn", "failed", 30.1)]

    joined = join([*ROLLOUT_MARKS, *TRACE_MARKS, *ends], BOTH)

    assert story(joined.marks)[-1] == "turn failed 30.1"


def test_a_turn_that_its_process_left_ends_after_all_that_any_view_saw_of_it() -> None:
    lost = mark(ROLLOUT, "turn", "interrupted", 10, recovered=True)

    joined = join([*ROLLOUT_MARKS[:2], lost, *TRACE_MARKS[:3]], BOTH)

    assert story(joined.marks)[-2:] == ["upstream:1 response_headers 11", "turn interrupted 11"]


def test_a_turn_is_found_by_its_other_name() -> None:
    gathered = Gathered()
    gathered.add("codex", Capture([ROLLOUT], ROLLOUT_MARKS, names={"trace-1": "t1"}))
    unnamed = [mark._replace(turn_id="trace-1", session_id="") for mark in TRACE_MARKS]
    gathered.add("otlp", Capture([TRACE], unnamed))

    gathered.join()

    assert len(gathered.marks_of("t1")) == 9
    assert {mark.session_id for mark in gathered.marks_of("t1")} == {"s1"}
    assert gathered.marks_of("trace-1") == []
    assert gathered.turns_in("otlp") == 1


def test_one_view_alone_stays_as_it_is() -> None:
    gathered = Gathered()
    gathered.add("codex", Capture([ROLLOUT], ROLLOUT_MARKS))

    gathered.join()

    assert gathered.marks_of("t1") == ROLLOUT_MARKS
    assert list(gathered.processes) == ["codex:1"]


def test_a_copy_of_a_file_counts_once() -> None:
    gathered = Gathered()
    for _ in range(2):
        gathered.add("codex", Capture([ROLLOUT], ROLLOUT_MARKS, rejects=[Reject("r.jsonl", 3, "not JSON")]))

    gathered.join()

    assert len(gathered.marks_of("t1")) == len(ROLLOUT_MARKS)


def test_a_process_that_two_files_tell_of_lived_as_long_as_the_later_one_says() -> None:
    for order in (1, -1):
        gathered = Gathered()
        for horizon_ns in (100 * S, 70 * S)[::order]:
            gathered.add("codex", Capture([replace(ROLLOUT, horizon_ns=horizon_ns)]))

        assert gathered.processes["codex:1"].horizon_ns == 100 * S


def test_a_finding_without_a_turn_that_is_known_is_not_lost() -> None:
    gathered = Gathered()
    zombie = Finding("zombie_row", "t1", "sessions.json", None, "running, and ended")
    gathered.add("openclaw", Capture([ROLLOUT], ROLLOUT_MARKS, findings=[zombie, zombie._replace(turn_id="t2")]))
    gathered.add("openclaw", Capture(findings=[zombie._replace(turn_id=None)]))

    gathered.join()

    assert gathered.findings_of("t1") == [zombie]
    assert [finding.turn_id for finding in gathered.findings_of(None)] == ["t2", None]


def test_what_is_left_alone_is_said() -> None:
    gathered = Gathered()
    for count in (1_200, 4):
        capture = Capture()
        capture.left_alone["spans that are no agent's turn"] += count
        gathered.add("otlp", capture)

    assert list(gathered.notes()) == ["otlp: 1,204 spans that are no agent's turn left alone"]


def test_the_process_with_the_later_horizon_gives_its_reason() -> None:
    views = {**BOTH, TRACE.process_id: replace(TRACE, horizon_ns=120 * S)}

    process = join([*ROLLOUT_MARKS, *TRACE_MARKS], views).process

    assert (process.horizon_ns, process.horizon_why, process.file) == (120 * S, "the last row", "logs.sqlite")
