"""Judgements that are kept: the same verdicts as without them, whatever has happened since."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from bench.generate import write_journal
from journal_kit import START_NS, line
from segment_kit import NOW_NS, header, stuck_turn, told, whole_turn, write
from turnscope.process import identify
from turnscope_analyzer import analyze as module
from turnscope_analyzer.analyze import analyze
from turnscope_analyzer.classify import classify
from turnscope_analyzer.report.layout import Style
from turnscope_analyzer.report.markdown import render_markdown
from turnscope_analyzer.report.terminal import render_terminal
from turnscope_analyzer.report.wording import count_states
from turnscope_analyzer.sources.journal import Journals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from turnscope_analyzer.engine import Engine
    from turnscope_analyzer.model import Report


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thousand turns of three processes that are gone, one of them killed, in small segments."""
    folder = tmp_path_factory.mktemp("journal") / "traces"
    write_journal(folder, 10_000, processes=4, segment_bytes=256 << 10)
    return folder


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many turns each analysis has judged anew, in the order of their statements."""
    counts: list[int] = []

    def counting(engine: Engine) -> list[Any]:
        judgements = classify(engine)
        counts.append(len(judgements))
        return judgements

    monkeypatch.setattr(module, "classify", counting)
    yield counts


def anew(monkeypatch: pytest.MonkeyPatch, folder: Path, **question: Any) -> Report:
    """Analyze *folder* without anything that was kept."""
    with monkeypatch.context() as patched:
        patched.setenv("TURNSCOPE_CACHE", "")
        return analyze([folder], **question)


def test_a_turn_is_judged_once(journal: Path, judged: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = (analyze([journal]) for _ in range(3))

    assert judged == [len(first.turns), 0, 0]
    assert first == second == third == anew(monkeypatch, journal)


@pytest.mark.parametrize(
    "question",
    [
        {"budgets": {"upstream_sent": 7200, "first_item": 1}},
        {"now_ns": NOW_NS},
        {"cause": "transport"},
        {"everything": True},
        {"since_ns": START_NS},
        {"detailed": 1},
    ],
    ids=str,
)
def test_another_question_gets_the_answer_that_it_would_get_alone(
    journal: Path, monkeypatch: pytest.MonkeyPatch, question: dict[str, Any]
) -> None:
    analyze([journal])

    asked = analyze([journal], **question)

    assert asked == anew(monkeypatch, journal, **question)
    assert analyze([journal]) == anew(monkeypatch, journal)


@pytest.mark.parametrize("before", [0, 1], ids=["first", "again"])
def test_the_page_is_the_same_where_the_others_are_only_counted(
    journal: Path, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    for _ in range(before):
        analyze([journal])
    listed = anew(monkeypatch, journal)

    counted = analyze([journal], detailed=20)

    assert count_states(counted) == count_states(listed)
    assert len(counted.turns) < len(listed.turns)
    assert render_terminal(counted, Style()) == render_terminal(listed, Style())
    assert render_markdown(counted, {}) == render_markdown(listed, {})


def test_only_what_was_asked_for_is_counted(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    analyze([journal])

    counted = analyze([journal], detailed=1, cause="transport")

    assert count_states(counted) == count_states(anew(monkeypatch, journal, cause="transport"))
    assert {cause for _, cause in counted.unlisted} == {"transport"}


def test_a_turn_that_plainly_went_well_is_still_found_by_its_id(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    analyze([journal])
    healthy = next(verdict for verdict in analyze([journal], everything=True).turns if verdict.state == "healthy")

    found = analyze([journal], turn=healthy.turn_id)

    assert [verdict.turn_id for verdict in found.turns] == [healthy.turn_id]
    assert found == anew(monkeypatch, journal, turn=healthy.turn_id)


def test_segments_that_go_and_come_change_the_verdicts_as_they_would_alone(
    tmp_path: Path, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "traces"
    folder.mkdir()
    files = sorted(path for path in journal.iterdir() if path.suffix != ".json")
    for path in files[1:]:
        os.link(path, folder / path.name)
    analyze([folder])

    (folder / files[2].name).unlink()
    without = analyze([folder])
    assert without == anew(monkeypatch, folder)

    os.link(files[0], folder / files[0].name)
    assert analyze([folder]) == anew(monkeypatch, folder)
    assert told(analyze([folder])) != told(without)


def test_a_turn_that_goes_on_later_is_judged_again(tmp_path: Path, judged: list[int]) -> None:
    write(tmp_path, header(), stuck_turn("t1", 1, 0), stuck_turn("t2", 4, 9), name="a.jsonl")
    first = analyze([tmp_path], now_ns=NOW_NS)

    end = line(3, "t1", "completed", at_s=30, proc="beefbeefbeef")
    write(tmp_path, header(proc="beefbeefbeef"), end, name="b.jsonl")
    second = analyze([tmp_path], now_ns=NOW_NS)

    assert {verdict.turn_id: verdict.state for verdict in first.turns} == {"t1": "stuck", "t2": "stuck"}
    assert {verdict.turn_id: verdict.state for verdict in second.turns} == {"t1": "healthy", "t2": "stuck"}
    assert judged == [2, 1]


def test_when_waits_that_seemed_long_turn_out_to_be_usual_nothing_that_was_kept_is_believed(
    tmp_path: Path, judged: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_turn(number: int) -> bytes:
        lane = "upstream:1"
        steps = (("accepted", "turn", 0), ("upstream_sent", lane, 1), ("upstream_completed", lane, 200 - number % 2))
        times = [line(3 * number + 4 + n, f"slow{number}", *step[:2], at_s=step[2]) for n, step in enumerate(steps)]
        return b"".join([*times, line(9000 + number, f"slow{number}", "completed", at_s=201)])

    write(tmp_path, header(), slow_turn(0), stuck_turn("stuck", 1, 0), name="a.jsonl")
    first = analyze([tmp_path], now_ns=NOW_NS)

    write(tmp_path, header(), *map(slow_turn, range(1, 140)), name="b.jsonl")
    second = analyze([tmp_path], now_ns=NOW_NS)
    third = analyze([tmp_path], now_ns=NOW_NS)

    assert {verdict.turn_id: verdict.state for verdict in first.turns} == {"stuck": "stuck", "slow0": "slow"}
    assert second == third == anew(monkeypatch, tmp_path, now_ns=NOW_NS)
    assert judged[:4] == [2, 139, 141, 0]


def test_of_a_process_that_runs_only_what_has_ended_is_kept(
    tmp_path: Path, judged: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = identify()
    alive = header(pid=here.pid, pid_start=here.pid_start, host=here.host, boot=here.boot)
    failed = b"".join(line(9 + n, "failed", phase, at_s=n) for n, phase in enumerate(("accepted", "started", "failed")))
    write(tmp_path, alive, whole_turn("well", 1, 0), failed, stuck_turn("open", 20, 4))

    first, second = analyze([tmp_path]), analyze([tmp_path])

    assert judged == [2, 1]
    assert told(first) == told(second) == told(anew(monkeypatch, tmp_path))
    assert first.horizon_ns is not None
    assert all((verdict.horizon_ns or 0) > first.horizon_ns for verdict in second.turns)


def test_a_damaged_judgement_costs_time_and_nothing_else(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, header(), stuck_turn("t1", 1, 0))
    analyze([tmp_path])
    (kept,) = cache.glob("*/settled.parquet")

    kept.write_bytes(b"PAR1 no more")

    assert analyze([tmp_path]) == anew(monkeypatch, tmp_path)


def test_a_damaged_segment_tells_of_its_damage_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, header(), whole_turn("well", 1, 0), b'{"turn":"torn\n', stuck_turn("t1", 9, 9))

    first, second = analyze([tmp_path]), analyze([tmp_path])

    assert len(first.rejects) == 1
    assert first == second == anew(monkeypatch, tmp_path)


def test_a_cache_that_another_analysis_removes_meanwhile_costs_time_and_nothing_else(
    journal: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyze([journal])
    scan = Journals._scan

    def removing(self: Journals, engine: Engine, progress: Callable[[int], None]) -> None:
        scan(self, engine, progress)
        for file in cache.glob("*/*.parquet"):
            file.unlink()

    monkeypatch.setattr(Journals, "_scan", removing)

    assert analyze([journal]) == anew(monkeypatch, journal)
