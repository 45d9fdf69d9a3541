"""A whole Codex home: which of its files count, and who lives."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from codex_home_kit import THREAD, S, held, leave_lock, recorded_home, report_of, verdicts, write_open_turn
from turnscope_analyzer.discover import discover
from turnscope_analyzer.errors import NothingFoundError
from turnscope_analyzer.sources.codex.home import is_codex

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


# -- who lives ------------------------------------------------------------------------------------------------


def test_a_turn_whose_writer_holds_its_lock_is_alive_and_its_age_is_counted_to_now(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    lock = leave_lock(tmp_path)
    write_open_turn(tmp_path, time.time_ns() - 600 * S)
    with held(lock):
        (turn,) = verdicts(tmp_path)

        with lock.open("rb") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    assert (turn.state, turn.rule) == ("stuck", "unknown.stall_or_transport")
    assert 600_000 <= (turn.age_ms or 0) < 660_000
    assert any("holds the lock" in evidence.what for evidence in turn.evidence)


def test_a_lock_that_its_writer_left_behind_makes_its_turn_an_orphan(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    leave_lock(tmp_path)
    write_open_turn(tmp_path, time.time_ns())

    (turn,) = verdicts(tmp_path)

    assert (turn.state, turn.rule, turn.confidence) == ("orphaned", "process_lost.killed", "certain")


def test_a_lock_that_is_younger_than_the_records_came_with_a_copy_and_proves_nothing(tmp_path: Path) -> None:
    leave_lock(tmp_path)
    write_open_turn(tmp_path, time.time_ns() - 600 * S)

    (turn,) = verdicts(tmp_path)

    assert turn.state == "not_determinable"
    assert "whether its process still lives" in turn.not_seen


def test_a_lock_is_that_of_the_home_it_lies_in(tmp_path: Path) -> None:
    leave_lock(tmp_path / "one")
    write_open_turn(tmp_path / "two", time.time_ns())

    (turn,) = verdicts(tmp_path)

    assert turn.state == "not_determinable"


def test_a_lock_may_be_looked_at_without_the_right_to_write(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    leave_lock(tmp_path).chmod(0o400)
    write_open_turn(tmp_path, time.time_ns())

    assert verdicts(tmp_path)[0].state == "orphaned"


# -- which files count ----------------------------------------------------------------------------------------


def test_a_home_is_told_by_what_its_files_hold(tmp_path: Path) -> None:
    home = recorded_home("0.169-healthy", tmp_path)
    leave_lock(home)
    (home / "auth.json").write_text('{"token": "x"}')
    (home / "goals_1.sqlite").write_bytes(b"SQLite format 3\0")
    (home / "logs_2.sqlite-shm").write_bytes(b"\0" * 100)

    names = sorted(path.name for path in discover([home]).of("codex"))

    assert [name.rpartition(".")[2] for name in names] == ["lock", "sqlite", "jsonl", "sqlite"]
    assert (names[0], names[1], names[3]) == (f"{THREAD}.lock", "logs_2.sqlite", "thread_history_1.sqlite")


def test_a_file_that_is_only_called_like_a_database_is_none(tmp_path: Path) -> None:
    (tmp_path / "logs_2.sqlite").write_text("hello")

    assert not is_codex(tmp_path / "logs_2.sqlite", b"hello")
    with pytest.raises(NothingFoundError):
        discover([tmp_path])


def test_a_packed_copy_beside_its_rollout_does_not_count_and_one_alone_does(tmp_path: Path) -> None:
    rollout = write_open_turn(tmp_path, time.time_ns())
    whole = rollout.read_bytes()
    packed = rollout.with_name(f"{rollout.name}.zst")
    packed.write_bytes(zstd.compress(whole[: whole.index(b"\n") + 1]))

    beside = report_of(tmp_path)
    packed.write_bytes(zstd.compress(whole))
    rollout.unlink()
    alone = report_of(tmp_path)

    assert [len(report.turns) for report in (beside, alone)] == [1, 1]
    assert beside.notes == ("codex: 1 copies of a rollout left alone",)
    assert alone.notes == ()
    assert {evidence.file for evidence in alone.turns[0].evidence} == {str(packed)}


def test_a_thread_that_is_archived_and_not_counts_once_by_its_longer_file(tmp_path: Path) -> None:
    home = recorded_home("0.169-healthy", tmp_path)
    (rollout,) = home.glob("sessions/*/*/*/*.jsonl")
    (home / "archived_sessions").mkdir()
    cut = home / "archived_sessions" / rollout.name
    cut.write_bytes(rollout.read_bytes()[:3000])

    report = report_of(home)

    assert [(turn.state, turn.rule) for turn in report.turns] == [("healthy", "healthy.completed")]
    assert report.notes == ("codex: 1 copies of a rollout left alone",)


def test_a_file_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    home = recorded_home("0.169-healthy", tmp_path)
    (home / "logs_2.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 5_000)

    report = report_of(home)

    assert [turn.state for turn in report.turns] == ["healthy"]
    assert [Path(reject.file).name for reject in report.rejects] == ["logs_2.sqlite"]


def test_a_home_is_only_read(tmp_path: Path) -> None:
    home = recorded_home("0.169-no-event", tmp_path)
    leave_lock(home)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in home.rglob("*") if path.is_file()}

    report_of(home)

    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in home.rglob("*") if path.is_file()}
    assert after == before
