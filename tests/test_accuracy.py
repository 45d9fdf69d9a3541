"""Labelled captures are judged as their labels say: what `make accuracy` does for all of them, on a few."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.accuracy.grade import Graded, Result, grade
from bench.accuracy.labels import HOME, ROLLOUT, TELEMETRY, TELEMETRY_ALONE, Label, Labelled, codex
from bench.accuracy.page import KEPT_FROM, KEPT_UNTIL, Unlabelled, kept_of, page, wrong_ones
from telemetry_kit import LABELLED

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
CAPTURES = list(codex(LABELLED))

SAID = {
    ("0.118.0/d_stall_first_event_kill_late__appserver", ROLLOUT): "model_stall",
    ("0.142.5/a_healthy__exec", ROLLOUT): "healthy",
    ("0.142.5/e_cut_mid__exec", ROLLOUT): "unknown",
    ("0.169.0/a_healthy__appserver", TELEMETRY): "healthy",
    ("0.169.0/a_healthy__appserver", TELEMETRY_ALONE): "healthy",
    ("0.169.0/b_tools__appserver", TELEMETRY): "healthy",
    ("0.169.0/d3_stall_mid_timeout__appserver", TELEMETRY): "model_stall",
    ("0.169.0/d3_stall_mid_timeout__appserver", TELEMETRY_ALONE): "model_stall",
    ("0.169.0/d_stall_first_event_kill_late__appserver", ROLLOUT): "not_determinable",
    ("0.169.0/d_stall_first_event_kill_late__appserver", TELEMETRY): "model_stall",
    ("0.169.0/d_stall_first_event_kill_late__appserver", TELEMETRY_ALONE): "model_stall",
    ("0.169.0/e_cut_mid_kill__appserver", TELEMETRY): "transport",
    ("0.169.0/e_refused__exec", ROLLOUT): "not_determinable",
    ("0.169.0/e_refused__exec", TELEMETRY): "transport",
    ("0.169.0/e_refused__exec", TELEMETRY_ALONE): "transport",
    ("0.169.0/f_compact_ctxlen__appserver", TELEMETRY): "compaction",
    ("0.169.0/f_compact_hang_remote_kill__appserver", ROLLOUT): "continuation_loss",
    ("0.169.0/f_compact_hang_remote_kill__appserver", TELEMETRY): "compaction",
    ("0.169.0/f_compact_kill_late__appserver", TELEMETRY): "compaction",
    ("0.169.0/f_compact_kill_late__appserver", TELEMETRY_ALONE): "compaction",
    ("0.169.0/g_cont_kill_late__appserver", ROLLOUT): "continuation_loss",
    ("0.169.0/g_cont_kill_late__appserver", TELEMETRY): "transport",
    ("0.169.0/i_interrupt__appserver", TELEMETRY): "cancelled",
    ("0.169.0/i_orphan_kill_resume__appserver", TELEMETRY): "process_lost",
    ("0.169.0/i_orphan_kill_resume__appserver", TELEMETRY_ALONE): "process_lost",
    ("0.169.0/j_ctxlen_sse__appserver", TELEMETRY): "context_length",
}
"""What is said of some of the captures; of all of them nothing that is confident and wrong."""


@pytest.fixture(scope="module")
def results() -> list[tuple[Labelled, Result]]:
    return [(labelled, grade(labelled)) for labelled in CAPTURES]


def graded(results: list[tuple[Labelled, Result]]) -> Iterator[Graded]:
    for _, result in results:
        yield from result.graded


def test_nothing_is_said_with_confidence_that_is_not_so(results: list[tuple[Labelled, Result]]) -> None:
    assert wrong_ones(results, []) == []


def test_nothing_is_left_undecided(results: list[tuple[Labelled, Result]]) -> None:
    assert [one.labelled.name for one in graded(results) if one.outcome == "undecided"] == []


def test_the_verdicts_are_those_that_each_level_of_evidence_allows(results: list[tuple[Labelled, Result]]) -> None:
    said = {(one.labelled.name, one.labelled.level): one.said for one in graded(results)}

    assert {name: said[name] for name in SAID} == SAID


def test_with_telemetry_most_is_right(results: list[tuple[Labelled, Result]]) -> None:
    told = [one.outcome for one in graded(results) if one.labelled.level == TELEMETRY]

    assert told.count("correct") >= len(told) - 1


def test_a_level_of_evidence_has_its_own_files_alone(tmp_path: Path) -> None:
    by_level = {labelled.level: labelled for labelled in CAPTURES if labelled.name.endswith("0/a_healthy__appserver")}

    laid_out = {}
    for number, (level, labelled) in enumerate(by_level.items()):
        target = tmp_path / str(number)
        labelled.lay_out(target)
        laid_out[level] = {path.name.partition("-")[0] for path in target.rglob("*") if path.is_file()}

    assert laid_out == {
        ROLLOUT: {"rollout"},
        TELEMETRY: {"rollout", "logs.jsonl", "traces.jsonl"},
        TELEMETRY_ALONE: {"logs.jsonl", "traces.jsonl"},
    }


def test_a_confident_answer_that_the_label_does_not_accept_is_wrong() -> None:
    healthy = next(labelled for labelled in CAPTURES if labelled.name == "0.142.5/a_healthy__exec")
    mislabelled = [label._replace(expected="transport", accept=frozenset()) for label in healthy.labels]

    result = grade(healthy._replace(labels=tuple(mislabelled)))

    assert [one.outcome for one in result.graded] == ["wrong"]
    assert wrong_ones([(healthy, result)], []) == ["0.142.5/a_healthy__exec"]


def test_a_capture_that_no_source_reads_is_told_from_one_that_is_judged(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "notes.jsonl").write_text("{}\n")
    label = Label("thread", None, -1, "healthy", frozenset({"healthy"}))

    result = grade(Labelled("Codex", HOME, "empty", tmp_path, 1, (label,)))

    assert not result.known
    assert [(one.said, one.outcome) for one in result.graded] == [("nothing", "undecided")]


def test_what_people_wrote_on_the_page_is_kept(results: list[tuple[Labelled, Result]]) -> None:
    first = page(results, [], "## By hand\n\nA sentence.")
    again = page(results, [Unlabelled("public", 1, {"healthy": 2}, ["t9"])], kept_of(first))

    assert again.count(f"{KEPT_FROM}\n\n## By hand\n\nA sentence.\n\n{KEPT_UNTIL}") == 1
    assert "- t9" in again


def test_without_captures_it_says_where_it_looked(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.accuracy", "--data", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert str(tmp_path) in done.stderr
    assert "TURNSCOPE_LABDATA" in done.stderr
