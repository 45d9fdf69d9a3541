from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given

from reports import ORPHANED, STALLED, T0, WAITING, ZOMBIE, assert_golden, damaged, report, reports
from turnscope.phases import CANCEL_RESULTS, Cause, Confidence, State
from turnscope_analyzer.model import Evidence, Report
from turnscope_analyzer.report.contract import SCHEMA, render_json

PAGE = (Path(__file__).parents[1] / "docs" / "json-report.md").read_text(encoding="utf-8")


def documented(section: str) -> list[str]:
    """Return the keys that the page lists under the heading *section*."""
    body = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", body, re.MULTILINE)


def rendered(given: Report) -> dict[str, Any]:
    content = json.loads(render_json(given))
    assert isinstance(content, dict)
    return content


def test_the_report_is_what_the_contract_says() -> None:
    assert_golden("report.json", render_json(damaged(report(WAITING, ORPHANED, STALLED, healthy=25))))


def test_every_key_is_documented_and_every_documented_key_is_there() -> None:
    whole = rendered(damaged(report(replace(STALLED, findings=(ZOMBIE,)))))

    assert list(whole) == documented("The object")
    assert list(whole["sources"][0]) == documented("A source")
    assert list(whole["turns"][0]) == documented("A turn")
    assert list(whole["turns"][0]["evidence"][0]) == documented("A record")
    assert list(whole["turns"][0]["findings"][0]) == documented("A finding")
    assert list(whole["rejects"][0]) == documented("A reject")


@pytest.mark.parametrize("name", [*get_args(State), *get_args(Cause), *get_args(Confidence), *CANCEL_RESULTS])
def test_every_word_that_a_program_may_meet_is_documented(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_the_page_names_the_version_that_is_written() -> None:
    assert f"the version of this contract: {SCHEMA}" in PAGE
    assert rendered(report())["schema"] == SCHEMA


def test_keys_are_there_where_nothing_is_known() -> None:
    bare = replace(
        STALLED, cause=None, phase=None, lane=None, since_ns=None, age_ms=None, evidence=(), ruled_out=(), not_seen=()
    )

    turn = rendered(report(bare))["turns"][0]

    assert list(turn) == documented("A turn")
    assert [turn[key] for key in ("cause", "phase", "lane", "phase_since", "age_ms", "cancel")] == [None] * 6
    assert turn["evidence"] == turn["ruled_out"] == turn["not_seen"] == []


def test_every_fact_of_a_verdict_but_the_waterfall_is_in_the_contract() -> None:
    renamed = {"since_ns": "phase_since"}
    left_out = {"stretches", "accepted_ns", "horizon_ns"}

    names = {renamed.get(field.name, field.name) for field in fields(STALLED)} - left_out

    assert names == set(documented("A turn"))


def test_times_keep_every_nanosecond() -> None:
    turn = rendered(report(replace(STALLED, since_ns=T0 + 1)))["turns"][0]

    assert turn["phase_since"] == "2026-11-21T05:05:56.000000001Z"


def test_an_offset_is_null_where_the_file_is_the_record() -> None:
    turn = rendered(report(replace(STALLED, evidence=(Evidence("a.life", None, "gone"),))))["turns"][0]

    assert turn["evidence"] == [{"file": "a.life", "offset": None, "what": "gone"}]


def test_a_file_name_that_is_not_unicode_is_spelt_out() -> None:
    name = b"tr\xffces".decode("utf-8", "surrogateescape")

    turn = rendered(report(replace(STALLED, evidence=(Evidence(name, 0, ""),))))["turns"][0]

    assert turn["evidence"][0]["file"] == r"tr\udcffces"


@given(reports)
def test_any_report_can_be_read_back_and_holds_every_turn(any_report: Report) -> None:
    whole = rendered(any_report)

    assert len(whole["turns"]) == len(any_report.turns)
    assert whole["drops"].keys() == {reason.encode(errors="backslashreplace").decode() for reason in any_report.drops}
