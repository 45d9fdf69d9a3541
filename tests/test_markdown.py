from __future__ import annotations

import re
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given

from reports import FAILED, HEALTHY, ORPHANED, SEGMENT, STALLED, WAITING, assert_golden, damaged, report, reports
from turnscope_analyzer.model import Evidence, Report, Stretch
from turnscope_analyzer.report.markdown import MAX_SECTIONS, render_markdown
from turnscope_analyzer.report.private import digest, without_private

VERSIONS = {"turnscope": "0.1.0", "python": "CPython 3.11.7", "platform": "Linux-6.1"}


def test_the_report_can_be_pasted_as_it_is() -> None:
    whole = damaged(report(WAITING, FAILED, ORPHANED, STALLED, healthy=25))

    assert_golden("report.md", render_markdown(whole, VERSIONS))


def test_sessions_are_known_by_a_digest_that_their_owner_can_make() -> None:
    text = render_markdown(report(STALLED), VERSIONS)

    assert "chat-17" not in text
    assert f"session: `{sha256(b'chat-17').hexdigest()[:8]}`" in text


def test_a_session_is_taken_out_of_prose_and_file_names_too() -> None:
    session = "5f0c2a34-telegram-bob"
    told = replace(
        STALLED,
        session_id=session,
        summary=f"waits in {session}",
        evidence=(Evidence(f"/home/bob/rollout-{session}.jsonl", 7, f"in session {session}."),),
    )

    text = render_markdown(report(told), VERSIONS)

    assert "bob" not in text
    assert f"`rollout-{digest(session)}.jsonl:7` | in session {digest(session)}." in text


def test_a_renderer_is_taken_out_of_lanes_and_prose() -> None:
    watched = replace(
        STALLED,
        lane="renderer:10.1.2.3:5555",
        next_step="Reattach 10.1.2.3:5555",
        stretches=(Stretch("renderer:10.1.2.3:5555", "renderer_attached", 0, None, ""),),
    )

    text = render_markdown(report(watched), VERSIONS)

    assert "10.1.2.3" not in text
    assert f"`renderer:{digest('10.1.2.3:5555')}`" in text


def test_a_session_named_like_a_number_does_not_garble_the_report() -> None:
    text = render_markdown(report(replace(STALLED, session_id="1")), VERSIONS)

    assert "`upstream:1`" in text


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("cannot read /home/bob/notes/a.jsonl:3", "cannot read a.jsonl:3"),
        ("see ~/jobs/secret/x and ../../bob/y", "see x and y"),
        (r"C:\Users\bob\x.db is locked", "x.db is locked"),
        ("GET https://api.example.com/v1/x 429", "GET https://api.example.com/v1/x 429"),
        ("read and/or write, 3 / 4", "read and/or write, 3 / 4"),
    ],
)
def test_folders_are_taken_out_and_names_stay(said: str, kept: str) -> None:
    assert without_private(report(replace(STALLED, summary=said))).turns[0].summary == kept


def test_a_name_cannot_break_out_of_its_place() -> None:
    hostile = replace(
        STALLED,
        turn_id="a`b|c\n# d",
        summary="@maintainer ![x](http://evil/p.png) <img src=x> #1",
        evidence=(Evidence("a|b`.jsonl", 1, "c | d"),),
    )

    text = render_markdown(report(hostile), VERSIONS)

    assert r"turn `a'b\|c\n# d`" in text
    assert r"(at)maintainer !\[x\](http://evil/p.png) \<img src=x\> \#1" in text
    assert r"| `a\|b'.jsonl:1` | c \| d |" in text


def test_a_lane_cannot_close_the_code_block() -> None:
    fenced = replace(STALLED, stretches=(Stretch("```", "x", 0, 1, ""), Stretch("turn", "started", 0, None, "````")))

    text = render_markdown(report(fenced), VERSIONS)

    assert text.count("`````") == 2


def test_healthy_and_waiting_turns_are_counted_only() -> None:
    text = render_markdown(report(WAITING, HEALTHY, STALLED), VERSIONS)

    assert re.findall("^### (\\w+)", text, re.MULTILINE) == ["stuck"]


def test_a_turn_that_is_alone_has_a_section_whatever_its_state() -> None:
    assert "### healthy: turn `k3v9q2m7x1ae`" in render_markdown(report(HEALTHY), VERSIONS)


def test_more_turns_than_a_bug_report_holds_are_counted() -> None:
    many = [replace(STALLED, turn_id=f"t{n}") for n in range(MAX_SECTIONS + 3)]

    text = render_markdown(report(*many), VERSIONS)

    assert len(re.findall("^### ", text, re.MULTILINE)) == MAX_SECTIONS
    assert "… and 3 more that are stuck, orphaned or failed." in text


def test_files_are_named_without_their_folders() -> None:
    text = render_markdown(damaged(report(STALLED)), VERSIONS)

    assert "/srv" not in text
    assert f"`{SEGMENT.rpartition('/')[2]}:18234`" in text


@given(reports)
def test_any_report_can_be_written_and_holds_no_control_character(any_report: Report) -> None:
    text = render_markdown(any_report, VERSIONS)

    assert all(line.isprintable() for line in text.split("\n"))
