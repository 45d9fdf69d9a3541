"""What is kept of a glance at closed segments, and when it is not believed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import duckdb
import pytest

import turnscope
from bench.generate import write_journal
from turnscope_analyzer import cache as kept
from turnscope_analyzer.analyze import analyze
from turnscope_analyzer.engine import Engine
from turnscope_analyzer.sources.journal import Journals

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from turnscope_analyzer.model import Report


def record(folder: Path, turns: int = 3) -> None:
    """Leave a closed journal in *folder*: turns that went well, and one that was only accepted."""
    turnscope.configure(folder)
    for _ in range(turns):
        with turnscope.turn("s1"), turnscope.upstream() as upstream:
            upstream.headers(200)
    turnscope.accept("s1", turn_id="dropped")
    turnscope.shutdown()


def kept_one_by_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Path], Report]:
    """Have each segment of a journal kept by an analysis of its own; return them, and the report without a cache."""
    write_journal(folder / "traces", 2_000, processes=1, segment_bytes=64 << 10)
    segments = sorted((folder / "traces").glob("*.jsonl"))
    with monkeypatch.context() as patched:
        patched.setenv("TURNSCOPE_CACHE", "")
        alone = analyze(segments)
    for segment in segments:
        analyze([segment])
    return segments, alone


def files_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Analyze *folder* and return how many of its segments had to be read, not counting searches for evidence."""
    read: list[int] = []
    scan = Journals._scan

    def counting(self: Journals, engine: Engine, progress: Callable[[int], None]) -> None:
        read.append(len(self.segments) - len(self._scanned))
        scan(self, engine, progress)

    with monkeypatch.context() as patched:
        patched.setattr(Journals, "_scan", counting)
        analyze([folder])
    return sum(read)


def test_a_closed_segment_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path)

    assert [files_read(tmp_path, monkeypatch) for _ in range(3)] == [1, 0, 0]


def test_what_is_kept_gives_the_same_report(tmp_path: Path) -> None:
    record(tmp_path)

    first, second = analyze([tmp_path]), analyze([tmp_path])

    assert (second.turns, second.healthy, second.rejects) == (first.turns, first.healthy, first.rejects)
    assert [verdict.turn_id for verdict in first.turns] == ["dropped"]


def test_only_what_is_new_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path)
    analyze([tmp_path])

    record(tmp_path)

    assert files_read(tmp_path, monkeypatch) == 1


def test_a_segment_that_changed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path)
    analyze([tmp_path])
    (segment,) = tmp_path.glob("*.jsonl")

    os.utime(segment, ns=(1, 1))

    assert files_read(tmp_path, monkeypatch) == 1


def test_a_damaged_cache_costs_time_and_nothing_else(tmp_path: Path, cache: Path) -> None:
    record(tmp_path)
    before = analyze([tmp_path])
    for file in cache.glob("*/*.parquet"):
        file.write_bytes(b"PAR1 no more")

    after = analyze([tmp_path])

    assert (after.turns, after.healthy) == (before.turns, before.healthy)


def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path / "traces")
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TURNSCOPE_CACHE", str(tmp_path / "file" / "cache"))

    assert analyze([tmp_path / "traces"]).healthy == 3


def test_nothing_is_kept_where_the_user_says_so(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path)
    monkeypatch.setenv("TURNSCOPE_CACHE", "")

    assert [files_read(tmp_path, monkeypatch) for _ in range(2)] == [1, 1]
    assert list(cache.iterdir()) == []


def test_many_small_files_are_put_together(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_MOST_FILES", 2)
    for _ in range(4):
        record(tmp_path)
        analyze([tmp_path])

    assert len(list(cache.glob("*/*-*.parquet"))) <= 2
    assert files_read(tmp_path, monkeypatch) == 0


def test_what_was_kept_apart_and_put_together_counts_each_turn_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "_MOST_FILES", 1)
    segments, alone = kept_one_by_one(tmp_path, monkeypatch)

    together = analyze(segments)
    again = analyze(segments)

    assert len(list(cache.glob("*/*-*.parquet"))) == 1
    assert (together.turns, together.healthy) == (alone.turns, alone.healthy) == (again.turns, again.healthy)


@pytest.mark.parametrize("is_there", [True, False])
def test_what_cannot_be_read_any_more_is_read_anew_and_counts_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, *, is_there: bool
) -> None:
    monkeypatch.setattr(kept, "_MOST_FILES", 1)
    segments, alone = kept_one_by_one(tmp_path, monkeypatch)
    append = Engine.append

    def fail(self: Engine, table: str, name: str) -> int:
        if name == "adapters/duckdb_woken":
            for file in () if is_there else cache.glob("*/*-*.parquet"):
                file.unlink()
            if is_there:
                raise duckdb.IOException("the disk does not answer")
        return append(self, table, name)

    with monkeypatch.context() as patched:
        patched.setattr(Engine, "append", fail)
        after = analyze(segments)
    again = analyze(segments)

    assert (after.turns, after.healthy) == (alone.turns, alone.healthy) == (again.turns, again.healthy)


def test_of_what_nobody_used_for_long_only_our_own_is_forgotten(tmp_path: Path, cache: Path) -> None:
    ours = cache / "turnscope-glance-0123456789abcdef" / "18e9faac10dee2f7-13899.parquet"
    others = [cache / "photos" / "18e9faac10dee2f7-13899.parquet", ours.with_name("notes.txt")]
    for file in (ours, *others):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"")
        os.utime(file, (0, 0))
    record(tmp_path)

    analyze([tmp_path])

    assert not ours.exists()
    assert all(file.exists() for file in others)
