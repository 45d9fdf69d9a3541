from __future__ import annotations

import re
from dataclasses import replace
from unicodedata import category, east_asian_width

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports import BASE, FAILED, HEALTHY, ORPHANED, STALLED, WAITING, ZOMBIE, assert_golden, damaged, report, reports
from turnscope_analyzer.model import Evidence, Report, SourceRead
from turnscope_analyzer.report.layout import ASCII, UNICODE, Glyphs, Style
from turnscope_analyzer.report.terminal import MAX_FULL, render_terminal, render_turn

MIXED = damaged(report(WAITING, FAILED, ORPHANED, STALLED, HEALTHY, healthy=25))


def test_the_report_leads_with_what_is_stuck_and_ends_with_what_is_missing() -> None:
    assert_golden("terminal_mixed.txt", render_terminal(MIXED, Style(), base=BASE))


def test_a_wide_terminal_is_used() -> None:
    assert_golden("terminal_wide.txt", render_terminal(MIXED, Style(width=120), base=BASE))


def test_a_terminal_without_blocks_gets_ascii() -> None:
    text = render_terminal(MIXED, Style(glyphs=ASCII), base=BASE)

    assert text.isascii()
    assert_golden("terminal_ascii.txt", text)


def test_one_turn_is_drawn_whole_and_then_told_in_full() -> None:
    assert_golden("terminal_turn.txt", render_turn(report(STALLED), STALLED, Style(width=100), base=BASE))


def test_no_turns_at_all_is_said() -> None:
    assert render_terminal(Report((), None, (), 0, (), {}), Style()) == "no turns\n"


def test_only_healthy_turns_are_a_count() -> None:
    text = render_terminal(report(HEALTHY, healthy=2), Style(), base=BASE)

    assert text == "3 turns: 3 healthy · journal traces · as of 2026-11-21 05:12:20Z\n"


def test_a_healthy_turn_is_listed_if_its_store_says_otherwise() -> None:
    text = render_terminal(report(replace(HEALTHY, findings=(ZOMBIE,)), healthy=2), Style(), base=BASE)

    assert "HEALTHY · turn k3v9q2m7x1ae" in text
    assert "the row says running, its transcript ended at 05:06:00Z (zombie_row)" in " ".join(text.split())


def test_everything_lists_healthy_turns_too() -> None:
    text = render_terminal(report(HEALTHY), Style(), base=BASE, everything=True)

    assert "HEALTHY · turn k3v9q2m7x1ae · session chat-17\n  ended well" in text


def test_the_longest_wait_stands_first_whatever_order_the_turns_come_in() -> None:
    older = replace(STALLED, turn_id="older", age_ms=371_401)
    unknown = replace(STALLED, turn_id="unknown", age_ms=None)

    text = render_terminal(report(unknown, STALLED, ORPHANED, older), Style())

    assert re.findall(r"· turn (\S+)", text) == ["older", STALLED.turn_id, "unknown", ORPHANED.turn_id]


def test_hundreds_of_stuck_turns_are_cut_short_and_counted_by_cause() -> None:
    stalled = [replace(STALLED, turn_id=f"s{n:03}", age_ms=9000 - n) for n in range(300)]
    hung = [replace(STALLED, turn_id=f"t{n:03}", cause="tool_hang", age_ms=12 - n) for n in range(12)]

    text = render_terminal(report(*stalled, *hung), Style())

    assert len(re.findall("^STUCK", text, re.MULTILINE)) == MAX_FULL
    assert "… and 292 more stuck: model_stall 280, tool_hang 12 (--cause NAME, --all or" in text


def test_everything_leaves_no_stuck_turn_out() -> None:
    stalled = [replace(STALLED, turn_id=f"s{n:03}") for n in range(MAX_FULL + 1)]

    text = render_terminal(report(*stalled), Style(), everything=True)

    assert len(re.findall("^STUCK", text, re.MULTILINE)) == MAX_FULL + 1
    assert "more stuck" not in text


def test_a_long_summary_of_a_waiting_turn_is_cut_and_its_time_is_kept() -> None:
    text = render_terminal(report(replace(WAITING, summary="word " * 60)), Style())

    block = text.split("\n\n")[1].splitlines()
    assert len(block) == 3
    assert block[1] == "  " + "word " * 15 + "wo…"
    assert block[2] == "  since 2026-11-21 05:06:08Z, 6 min 11 s"


def test_more_evidence_than_fits_is_counted() -> None:
    many = tuple(Evidence("a.jsonl", offset, "a mark") for offset in range(10))

    text = render_terminal(report(replace(STALLED, evidence=many)), Style())

    assert "…:7 a mark\n             … and 2 more (--json)\n" in text


def test_a_record_of_the_file_above_has_only_its_offset() -> None:
    records = (Evidence("a.jsonl", 1, "one"), Evidence("a.jsonl", 2, "two"), Evidence("b", None, "b"))

    text = render_terminal(report(replace(STALLED, evidence=records)), Style())

    assert "a.jsonl:1 one\n             …:2 two\n             b b\n" in text


def test_a_long_path_is_broken_behind_a_folder() -> None:
    name = f"rollout-{'x' * 40}.jsonl"

    text = render_terminal(report(replace(STALLED, evidence=(Evidence(f"sessions/2026/{name}", 1, "one"),))), Style())

    assert f"  evidence   sessions/2026/\n             {name}:1 one\n" in text


@pytest.mark.parametrize(
    ("base", "path"),
    [("/srv/gw/tra", "../traces/"), ("/home/bob/work/deep", "/srv/gw/traces/"), ("", "/srv/gw/traces/")],
)
def test_a_path_is_relative_where_that_is_shorter(base: str, path: str) -> None:
    text = render_terminal(report(STALLED), Style(width=120), base=base)

    assert f"evidence   {path}20261121T045300Z-a1b2c3d4e5f6-000001.jsonl:18234 " in text


def test_many_sources_are_summed_up() -> None:
    sources = tuple(SourceRead("journal", f"t{n}", 1, 1, 1) for n in range(6))

    text = render_terminal(replace(report(healthy=1), sources=sources), Style(width=120))

    assert "journal t0, journal t1, 4 more sources" in text


def test_colour_changes_nothing_but_the_colour() -> None:
    coloured = render_terminal(MIXED, Style(colour=True))

    assert "\x1b[1;31mSTUCK\x1b[0m model_stall" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == render_terminal(MIXED, Style())


def test_a_name_cannot_steer_the_terminal() -> None:
    hostile = replace(STALLED, session_id="\x1b]0;title\x07\x1b[2J\u202e", summary="line\nbreak\rback")

    text = render_terminal(report(hostile), Style())

    assert r"session \x1b]0;title\x07\x1b[2J\u202e" in text
    assert r"line\nbreak\rback" in text


@given(reports, st.integers(48, 130), st.sampled_from([UNICODE, ASCII]), st.booleans())
def test_any_report_fits_its_width_and_prints_only_visible_signs(
    any_report: Report,
    width: int,
    glyphs: Glyphs,
    everything: bool,  # noqa: FBT001 -- drawn by hypothesis
) -> None:
    style = Style(width, glyphs)

    texts = [render_terminal(any_report, style, base=BASE, everything=everything)]
    texts += [render_turn(any_report, verdict, style, base=BASE) for verdict in any_report.turns]

    for line in "".join(texts).split("\n"):
        assert sum(2 if east_asian_width(sign) in "WF" else category(sign) != "Mn" for sign in line) <= width
        assert line.isprintable()
        assert glyphs is UNICODE or line.isascii()


def test_a_width_that_holds_no_report_is_refused() -> None:
    with pytest.raises(ValueError, match="47 columns"):
        Style(47)
