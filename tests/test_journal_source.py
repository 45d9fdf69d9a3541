"""The analyzer on journals of the real recorder: killed, resumed, rolled, frozen; and what it only counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from journal_kit import SECOND_NS, SMALL_BYTES, START_NS, Clocks, kill, line, padded, run, segments, start, stepped
from segment_kit import LINES, NOW_NS, TURNS, header, stuck_turn, told, verdicts, whole_turn, write
from turnscope_analyzer import analyze as module
from turnscope_analyzer.analyze import analyze
from turnscope_analyzer.report.contract import render_json

if TYPE_CHECKING:
    import pytest


RECORD = """
import turnscope
turnscope.configure(folder, service="gw")
"""
STALLED = """
turn = turnscope.accept("s1", turn_id="stalled")
turn.__enter__()
call = turn.upstream(model="m")
call.__enter__()
call.headers(200)
call.first_byte()
call.event()
call.item()
for _ in range(7):
    call.progress(100)
os.write(1, b".")
"""
HEALTHY = """
for number in range(3):
    with turnscope.turn("s1", turn_id=f"well{number}") as turn:
        with turn.upstream(model="m") as call:
            call.headers(200)
            call.item()
"""


def at(file: str, offset: int) -> dict[str, Any]:
    with Path(file).open("rb") as content:
        content.seek(offset)
        found: dict[str, Any] = orjson.loads(content.readline())
    return found


def test_a_turn_whose_process_was_killed_is_orphaned_and_its_evidence_stands_where_it_says(tmp_path: Path) -> None:
    gateway = start(RECORD + HEALTHY + STALLED + "sys.stdin.read()", tmp_path)
    assert gateway.stdout is not None
    gateway.stdout.read(1)
    kill(gateway)

    report = analyze([tmp_path])

    (verdict,) = report.turns
    assert (verdict.turn_id, verdict.state, verdict.rule) == ("stalled", "orphaned", "process_lost.killed")
    assert report.healthy == 3
    decisive = verdict.evidence[0]
    assert decisive.offset is not None
    record = at(decisive.file, decisive.offset)
    assert (record["turn"], record["phase"], record["lane"]) == ("stalled", "first_item", "upstream:1")
    assert any("7 chunks" in evidence.what for evidence in verdict.evidence)
    assert verdict.horizon_ns is not None
    assert verdict.since_ns is not None
    assert verdict.horizon_ns >= verdict.since_ns


def test_each_offset_in_a_report_is_the_begin_of_a_record_of_its_turn(tmp_path: Path) -> None:
    gateway = start(RECORD + HEALTHY + STALLED + "sys.stdin.read()", tmp_path)
    assert gateway.stdout is not None
    gateway.stdout.read(1)
    kill(gateway)

    found = verdicts(tmp_path, everything=True)

    placed = [(v, e) for v in found.values() for e in v.evidence if e.offset is not None and e.file.endswith(".jsonl")]
    assert len(found) == len({verdict.turn_id for verdict, _ in placed}) == 4
    assert all(at(evidence.file, evidence.offset or 0)["turn"] == verdict.turn_id for verdict, evidence in placed)


def test_a_process_that_lives_is_judged_by_now(tmp_path: Path) -> None:
    gateway = start(RECORD + STALLED + "sys.stdin.read()", tmp_path)
    assert gateway.stdout is not None
    gateway.stdout.read(1)
    try:
        young = verdicts(tmp_path)["stalled"]
        later = verdicts(tmp_path, now_ns=(young.since_ns or 0) + 400 * SECOND_NS)["stalled"]
    finally:
        kill(gateway)

    assert (young.state, young.rule) == ("healthy", "healthy.in_progress")
    assert (later.state, later.cause, later.since_ns) == ("stuck", "model_stall", young.since_ns)
    assert later.age_ms is not None
    assert 390_000 < later.age_ms <= 400_000  # since the last chunk, which came soon after the mark


def test_a_process_that_said_goodbye_left_its_turn_open(tmp_path: Path) -> None:
    run(RECORD + STALLED.replace("os.write(1, b'.')", ""), tmp_path)

    verdict = verdicts(tmp_path)["stalled"]

    assert (verdict.state, verdict.rule) == ("orphaned", "process_lost.left_open")


def test_a_turn_over_several_segments_has_each_mark_once(tmp_path: Path) -> None:
    run(
        """
import turnscope
turnscope.configure(folder, segment_bytes=SMALL_BYTES)
with turnscope.turn("s1", turn_id="long") as turn:
    turn.mark("upstream_sent", "upstream:1")
    for number in range(1000):
        turn.mark("tool_call", f"tool:{number}", name="x" * 300)
        turn.mark("tool_result", f"tool:{number}", name="x" * 300)
    turn.mark("upstream_completed", "upstream:1")
    turn.fail("other")
""",
        tmp_path,
    )

    verdict = verdicts(tmp_path)["long"]

    assert len(segments(tmp_path)) > 2
    assert (verdict.state, verdict.rule) == ("failed", "unknown.other_error")
    assert len([s for s in verdict.stretches if s.phase == "tool_call"]) == 1000
    assert len([s for s in verdict.stretches if s.lane == "upstream:1"]) == 1


def test_a_turn_that_another_process_resumed_is_one_turn(tmp_path: Path) -> None:
    first = start(RECORD + STALLED + "sys.stdin.read()", tmp_path)
    assert first.stdout is not None
    first.stdout.read(1)
    kill(first)
    run(RECORD + "turnscope.recover(folder)\nwith turnscope.resume('stalled', 's1') as turn: pass", tmp_path)

    verdict = verdicts(tmp_path, everything=True)["stalled"]

    assert verdict.state == "healthy"
    assert len({at(e.file, e.offset)["proc"] for e in verdict.evidence if e.offset and e.file.endswith(".jsonl")}) == 2


def test_a_turn_id_with_every_kind_of_character_is_found_again(tmp_path: Path) -> None:
    turn_id = 'ü "q" \\ {"turn":"x",'

    run(RECORD + f"turnscope.accept('s1', turn_id={turn_id!r})", tmp_path)

    (verdict,) = analyze([tmp_path]).turns
    assert verdict.turn_id == turn_id
    assert verdict.evidence[0].offset is not None


def test_a_wall_clock_that_was_set_changes_no_age(tmp_path: Path) -> None:
    clocks = Clocks()
    journal = stepped(tmp_path, clocks)
    journal.append(line(1, proc=journal.process_id))
    journal.pulse()
    clocks.run(1)
    clocks.set_wall(-7200)
    journal.pulse()
    for _ in range(50):
        clocks.run(4)
        journal.pulse()
    journal.close(["t1"])

    verdict = verdicts(tmp_path)["t1"]

    assert (verdict.state, verdict.cause, verdict.age_ms) == ("orphaned", "silent_drop", 201_000)
    assert any("wall clock was set 1 times" in evidence.what for evidence in verdict.counter_evidence)


def test_a_time_in_which_the_process_was_frozen_is_nobodys_wait(tmp_path: Path) -> None:
    clocks = Clocks()
    journal = stepped(tmp_path, clocks)
    journal.append(line(1, proc=journal.process_id))
    journal.pulse()
    clocks.run(500)
    journal.pulse()
    clocks.run(1)
    journal.pulse()
    journal.close(["t1"])

    verdict = verdicts(tmp_path)["t1"]

    assert (verdict.state, verdict.rule) == ("orphaned", "process_lost.left_open")
    assert verdict.age_ms is not None
    assert verdict.age_ms < 2000
    assert any("did not run" in evidence.what for evidence in verdict.counter_evidence)


def test_the_time_that_the_user_gives_is_the_horizon(tmp_path: Path) -> None:
    write(tmp_path, header(), stuck_turn("stuck", 1, 0))

    ages = [verdicts(tmp_path, now_ns=START_NS + s * SECOND_NS)["stuck"].age_ms for s in (2, 100, 1000)]

    assert ages == [0, 98_000, 998_000]


def test_looking_closely_at_everything_says_the_same_and_the_counts_add_up(tmp_path: Path) -> None:
    slow = [line(900, "slow", at_s=0), line(901, "slow", "started", at_s=400), line(902, "slow", "completed", at_s=401)]
    cancelled = [line(910, "stopped", at_s=0), line(911, "stopped", "cancelled", at_s=1)]
    left = [
        line(920, "left", at_s=0),
        line(921, "left", "renderer_attached", "renderer:w", at_s=1),
        line(922, "left", "renderer_detached", "renderer:w", at_s=2),
        line(923, "left", "completed", at_s=3),
    ]
    odd = [line(930, "headless", "completed", at_s=1)]
    write(tmp_path, LINES, *slow, *cancelled, *left, *odd)

    glanced = analyze([tmp_path], now_ns=NOW_NS)
    closely = analyze([tmp_path], now_ns=NOW_NS, everything=True)

    every = told(closely)
    assert closely.healthy == 0
    assert told(glanced) == {turn: every[turn] for turn in told(glanced)}
    assert {every[turn][0] for turn in every.keys() - told(glanced).keys()} == {"healthy"}
    assert len(glanced.turns) + glanced.healthy == len(every) == TURNS + 4
    assert glanced.sources[0].turns == closely.sources[0].turns == len(every)
    assert glanced.healthy == TURNS // 2


def test_a_budget_that_is_shorter_than_a_turn_brings_it_into_view(tmp_path: Path) -> None:
    write(tmp_path, header(), whole_turn("well", 1, 0))

    report = analyze([tmp_path], now_ns=NOW_NS, budgets={"upstream_sent": 1})

    assert told(report)["well"][:2] == ("slow", "transport.no_headers")
    assert report.healthy == 0


def test_the_marks_of_a_turn_are_found_among_those_of_a_full_segment(tmp_path: Path) -> None:
    filler = b"".join(padded(n, f"busy{n}", at_s=n) for n in range(100, 220))
    marks = stuck_turn("stuck", 1, 0).splitlines(keepends=True)
    write(tmp_path, header(), marks[0], filler, marks[2], marks[1])

    verdict = verdicts(tmp_path, now_ns=NOW_NS)["stuck"]

    assert len(filler) > SMALL_BYTES // 2
    assert [stretch.phase for stretch in verdict.stretches] == ["accepted", "started", "upstream_sent"]


def test_many_turns_are_put_into_words_a_few_at_a_time_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, LINES)
    at_once = analyze([tmp_path], now_ns=NOW_NS, everything=True)
    monkeypatch.setattr(module, "_BATCH_TURNS", 5)

    in_batches = analyze([tmp_path], now_ns=NOW_NS, everything=True)

    assert in_batches == at_once


def test_a_report_for_a_program_says_the_same_without_where_the_time_went(tmp_path: Path) -> None:
    write(tmp_path, LINES)
    whole, brief = (analyze([tmp_path], now_ns=NOW_NS, stretches=wanted) for wanted in (True, False))

    assert all(verdict.stretches for verdict in whole.turns)
    assert not any(verdict.stretches for verdict in brief.turns)
    assert render_json(brief) == render_json(whole)
