"""Each fault, really injected: what analyze says of it, at each level of evidence that is read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.expected import expected
from lab.home import LEVELS, Level
from lab.scenarios import CASES, Case

if TYPE_CHECKING:
    from lab.stage import Moment, Stage
    from turnscope_analyzer.model import Evidence, Report, Verdict

pytestmark = pytest.mark.lab

SOURCES: dict[Level, set[str]] = {"rollout": {"codex"}, "logdb": {"codex"}, "otlp": {"codex"}}
"""What the analyzer reads today of what it is given at each level."""

READ = [level for level in LEVELS if level == "rollout" or SOURCES[level] > SOURCES["rollout"]]
"""The levels that are more than the rollout: only of those a verdict can be asked."""


@pytest.mark.parametrize("level", READ)
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


@pytest.mark.parametrize("case", CASES, ids=str)
def test_turns_go_by_the_ids_that_codex_gave_them(stage: Stage, case: Case) -> None:
    run = stage.run(case)

    told = verdicts(run.reports["after", "rollout"])
    assert {verdict.session_id for verdict in told} == {run.thread}
    assert {verdict.turn_id for verdict in told} >= {turn for turn in run.turns if turn}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_is_put_aside_and_evidence_points_at_records(stage: Stage, case: Case) -> None:
    for report in stage.run(case).reports.values():
        pointed = [evidence for verdict in report.turns for evidence in verdict.evidence]

        assert report.rejects == ()
        assert [evidence for evidence in pointed if not begins_a_line(evidence)] == []


@pytest.mark.parametrize("level", LEVELS)
def test_the_list_of_what_is_read_is_right(stage: Stage, level: Level) -> None:
    """Fails when the analyzer has learnt to read more: then SOURCES has to say so, and the level is checked."""
    case = next(case for case in CASES if case.scenario.name == "headers only" and case.driver == "app-server")

    report = stage.run(case).reports["after", level]

    assert {source.kind for source in report.sources} == SOURCES[level]


def verdicts(report: Report) -> list[Verdict]:
    return sorted(report.turns, key=lambda verdict: verdict.accepted_ns or 0)


def begins_a_line(evidence: Evidence) -> bool:
    if not evidence.offset or not evidence.file.endswith(".jsonl"):
        return True
    with Path(evidence.file).open("rb") as file:
        file.seek(evidence.offset - 1)
        return file.read(2) == b"\n{"
