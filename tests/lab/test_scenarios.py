"""Each fault, really injected: what analyze says of it, at each level of evidence that is read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.expected import FAILURES, STALLS, expected
from lab.home import LEVELS
from lab.scenarios import CASES, SCENARIOS, Case

if TYPE_CHECKING:
    from lab.home import Level
    from lab.stage import Moment, Stage
    from turnscope_analyzer.model import Evidence, Report, Verdict


@pytest.mark.lab
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_was_injected_is_told(stage: Stage, case: Case, level: Level) -> None:
    run = stage.run(case)
    moments: list[Moment] = ["alive", "after"] if case.scenario.open else ["after"]

    wrong = {}
    for moment in moments:
        told = verdicts(run.reports[moment, level])
        right = expected(case, moment, level)
        if len(told) != len(right) or any((v.state, v.cause) not in r for v, r in zip(told, right, strict=True)):
            wrong[moment] = [(v.state, v.cause, v.rule) for v in told], [sorted(map(str, r)) for r in right]

    assert not wrong, "told, and what would be right"


@pytest.mark.lab
@pytest.mark.parametrize("case", CASES, ids=str)
def test_turns_go_by_the_ids_that_codex_gave_them(stage: Stage, case: Case) -> None:
    run = stage.run(case)

    told = verdicts(run.reports["after", "rollout"])
    assert {verdict.session_id for verdict in told} == {run.thread}
    assert {verdict.turn_id for verdict in told} >= {turn for turn in run.turns if turn}


@pytest.mark.lab
@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_is_put_aside_and_evidence_points_at_records(stage: Stage, case: Case) -> None:
    for report in stage.run(case).reports.values():
        pointed = [evidence for verdict in report.turns for evidence in verdict.evidence]

        assert report.rejects == ()
        assert [evidence for evidence in pointed if not begins_a_line(evidence)] == []


def test_every_expectation_is_for_a_scenario() -> None:
    by_name = {scenario.name: scenario for scenario in SCENARIOS}

    assert len(by_name) == len(SCENARIOS)
    assert {by_name[name].open for name in STALLS} == {True}
    assert {by_name[name].open for name in FAILURES} == {False}


def verdicts(report: Report) -> list[Verdict]:
    return sorted(report.turns, key=lambda verdict: verdict.accepted_ns or 0)


def begins_a_line(evidence: Evidence) -> bool:
    if not evidence.offset or not evidence.file.endswith(".jsonl"):
        return True
    with Path(evidence.file).open("rb") as file:
        file.seek(evidence.offset - 1)
        return file.read(2) == b"\n{"
