"""Damage of every sort to every kind of file: nothing raises or hangs, and the turns beside it are told as before.

TURNSCOPE_FUZZ sets how many damaged files of each kind are read; `make fuzz` reads ten thousand.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from fuzz_kit import Damage, files_of
from fuzz_samples import SAMPLES
from turnscope.phases import PHASE, lane_kind
from turnscope_analyzer.analyze import analyze
from turnscope_analyzer.discover import JOURNAL
from turnscope_analyzer.sources.opened import head_of
from turnscope_analyzer.sources.registry import SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from turnscope_analyzer.model import Capture, Verdict

FILES = int(os.environ.get("TURNSCOPE_FUZZ", "200"))
"""How many damaged files of each kind are read."""

BATCH = 25
"""So many of them lie beside the witness in one analysis."""

LONGEST_S = 60
NOW_NS = 1_795_400_000_000_000_000
"""Two days after everything in the samples, so that no verdict hangs on the clock of this host."""

KINDS = {source.kind: source for source in SOURCES}


@contextmanager
def within(seconds: int, what: str) -> Iterator[None]:
    """Raise TimeoutError in what takes longer than *seconds*."""

    def give_up(*_: object) -> None:
        raise TimeoutError(f"{what} took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(params=sorted(SAMPLES))
def damage(request: pytest.FixtureRequest, tmp_path: Path) -> Damage:
    return Damage(request.param, tmp_path / "sample")


def test_every_source_has_a_sample() -> None:
    assert SAMPLES.keys() == {JOURNAL, *KINDS}


def test_every_sample_is_told_to_be_of_its_kind(damage: Damage, tmp_path: Path) -> None:
    report = analyze([tmp_path / "sample"], now_ns=NOW_NS)

    assert [source.kind for source in report.sources] == [damage.kind]
    assert report.rejects == ()


def test_no_damage_makes_a_source_raise_or_give_what_it_must_not(damage: Damage, tmp_path: Path) -> None:
    if damage.kind == JOURNAL:
        pytest.skip("the engine reads journals itself: they are read with the whole analysis below")
    counts: Counter[str] = Counter()
    source = KINDS[damage.kind]
    for first in range(0, FILES, BATCH):
        folder = tmp_path / "damaged"
        damaged = damage.batch(first, min(first + BATCH, FILES), folder)
        files = [file for file in files_of(folder) if file in damaged or source.claims(file, head_of(file))]
        with within(LONGEST_S, f"{damage.kind} {first} to {first + BATCH}"):
            captures = list(source.read(files, lambda _bytes: None))
        for capture in captures:
            check(capture)
            counts["turns"] += len({mark.turn_id for mark in capture.marks})
            counts["rejects"] += len(capture.rejects)
        shutil.rmtree(folder)

    show(f"{damage.kind}: {FILES} damaged files read, {counts['turns']} turns and {counts['rejects']} rejects in them")
    assert counts["rejects"]


def test_no_damage_changes_what_is_said_of_the_turns_beside_it(damage: Damage, tmp_path: Path) -> None:
    (tmp_path / "witness").mkdir()
    shutil.move(damage.witness, tmp_path / "witness")
    alone = told(analyze([tmp_path / "witness"], now_ns=NOW_NS, everything=True).turns)
    counts: Counter[str] = Counter()

    for first in range(0, FILES, BATCH):
        folder = tmp_path / "damaged"
        damage.batch(first, min(first + BATCH, FILES), folder)
        with within(LONGEST_S, f"{damage.kind} {first} to {first + BATCH}"):
            report = analyze([tmp_path / "witness", folder], now_ns=NOW_NS, everything=True)
        assert {turn_id: said for turn_id, said in told(report.turns).items() if turn_id in alone} == alone, first
        assert len({verdict.turn_id for verdict in report.turns}) == len(report.turns), first
        counts.update(verdict.state for verdict in report.turns)
        shutil.rmtree(folder)

    show(f"{damage.kind}: {FILES} damaged files judged, {sum(counts.values())} verdicts: {dict(counts)}")


def show(counts: str) -> None:
    """Print *counts*, which `make fuzz` shows."""
    print(counts)  # noqa: T201


def told(verdicts: tuple[Verdict, ...]) -> dict[str, tuple[object, ...]]:
    """Return what is said of each turn."""
    return {v.turn_id: (v.state, v.cause, v.rule, v.confidence, v.phase, v.lane, v.since_ns) for v in verdicts}


def check(capture: Capture) -> None:
    """Hold a capture to what the model promises of it."""
    processes = {process.process_id for process in capture.processes}
    for mark in capture.marks:
        assert PHASE[mark.phase].lane == lane_kind(mark.lane)
        assert mark.process_id in processes
        assert all(0 <= number < 2**63 for number in (mark.at_ns, mark.wall_ns, mark.seq, mark.offset))
        assert all(type(fact) in (str, int, bool, float, type(None)) for fact in mark.attrs.values())
        assert all(-(2**63) <= fact < 2**63 for fact in mark.attrs.values() if type(fact) is int)
    assert all(reject.offset >= 0 for reject in capture.rejects)
    assert all(0 <= process.horizon_ns < 2**63 for process in capture.processes)
