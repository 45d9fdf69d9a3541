"""A whole Codex home: which of its files count, who lives, and what its own indexes say wrongly."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from codex_home_kit import recorded_home, report_of, verdicts, write_turns
from turnscope_analyzer.discover import discover
from turnscope_analyzer.errors import NothingFoundError
from turnscope_analyzer.sources.codex.home import is_codex

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterator

THREAD = "01a1fba3-8044-7381-b581-b20b3f54ce8a"
TURN = "01a1fba3-8044-7381-b581-b20b3f54ce8b"
S = 1_000_000_000

HOLDER = """
import fcntl, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def stamp(at_ns: int) -> str:
    moment = datetime.fromtimestamp(at_ns // S, timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ns % S // 1_000_000:03}Z"


def write_open_turn(home: Path, at_ns: int, folder: str = "sessions") -> Path:
    """Write a thread with one turn that was prompted and has not ended, its records at *at_ns*."""
    path = home / folder / "2026" / "11" / "21" / f"rollout-2026-11-21T01-00-00-{THREAD}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [
        ("session_meta", {"id": THREAD}),
        ("event_msg", {"type": "task_started", "turn_id": TURN, "trace_id": "0" * 32, "started_at": at_ns // S}),
        ("event_msg", {"type": "user_message", "message": "Please do the thing."}),
    ]
    lines = [json.dumps({"timestamp": stamp(at_ns), "type": kind, "payload": body}) for kind, body in records]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def leave_lock(home: Path) -> Path:
    lock = home / "thread-writer-locks" / f"{THREAD}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    (lock.parent / ".coordination.lock").touch()
    return lock


@contextmanager
def held(lock: Path) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdin=-1, stdout=-1, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
    finally:
        process.kill()
        process.communicate()


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


# -- what the indexes say -------------------------------------------------------------------------------------


def findings(home: Path) -> list[tuple[str, str]]:
    return [(finding.name, finding.what) for turn in verdicts(home) for finding in turn.findings]


def test_an_index_that_agrees_is_not_mentioned(tmp_path: Path) -> None:
    assert findings(recorded_home("0.169-healthy", tmp_path)) == []
    assert findings(recorded_home("0.169-interrupted", tmp_path / "other")) == []


def test_a_row_that_runs_for_ever_is_a_finding_on_its_turn(tmp_path: Path) -> None:
    home = recorded_home("0.169-killed-and-resumed", tmp_path)

    told = [(turn.state, [finding.name for finding in turn.findings]) for turn in verdicts(home)]

    assert told == [("orphaned", ["stale_turn_row"]), ("healthy", [])]
    assert findings(home)[0][1] == "the row calls the turn inProgress, and the rollout says that it was interrupted"


def test_a_row_is_stale_as_soon_as_its_writer_is_gone(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    write_turns(tmp_path / "thread_history_1.sqlite", [(THREAD, TURN, 1, "inProgress")])
    write_open_turn(tmp_path, time.time_ns() - 60 * S)
    assert findings(tmp_path) == []

    leave_lock(tmp_path)
    write_open_turn(tmp_path, time.time_ns())

    assert [name for name, _ in findings(tmp_path)] == ["stale_turn_row"]


def test_a_row_that_calls_an_end_by_another_name_is_a_finding(tmp_path: Path) -> None:
    home = recorded_home("0.169-interrupted", tmp_path)
    with closing(sqlite3.connect(home / "thread_history_1.sqlite")) as connection:
        connection.execute("UPDATE thread_turns SET status = 'completed'")
        connection.commit()

    said = "the row calls the turn completed, and the rollout says that it was interrupted"
    assert findings(home) == [("turn_row_differs", said)]


def test_rows_of_a_live_writer_may_lag_behind(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    write_turns(tmp_path / "thread_history_1.sqlite", [(THREAD, TURN, 1, "completed")])
    write_open_turn(tmp_path, time.time_ns())
    with held(leave_lock(tmp_path)):
        assert findings(tmp_path) == []

    assert [name for name, _ in findings(tmp_path)] == ["turn_row_differs"]


def write_threads(home: Path, rows: list[tuple[str, int]]) -> None:
    with closing(sqlite3.connect(home / "state_5.sqlite")) as connection:
        connection.execute("CREATE TABLE threads (rollout_path TEXT, archived INTEGER)")
        connection.executemany("INSERT INTO threads VALUES (?, ?)", rows)
        connection.commit()


def test_threads_whose_rollouts_lie_elsewhere_are_counted(tmp_path: Path) -> None:
    rollout = write_open_turn(tmp_path, time.time_ns())
    packed = rollout.with_name("rollout-packed.jsonl")
    shutil.copy(rollout, f"{packed}.zst")
    gone = [(str(rollout.with_name(f"gone-{number}.jsonl")), 0) for number in range(3)]
    write_threads(tmp_path, [(str(rollout), 1), (str(packed), 0), *gone])

    said = {finding.name: finding.what for finding in report_of(tmp_path).findings}

    assert said == {
        "archived_elsewhere": "1 threads in the list are archived and their rollouts are not, or the reverse",
        "missing_rollout": "3 threads in the list have no rollout any more",
    }


def test_a_copied_home_is_not_blamed_for_the_paths_of_its_original(tmp_path: Path) -> None:
    write_open_turn(tmp_path, time.time_ns())
    write_threads(tmp_path, [("/elsewhere/sessions/rollout-1.jsonl", 0)])

    assert report_of(tmp_path).findings == ()


def test_an_index_that_is_damaged_is_put_aside(tmp_path: Path) -> None:
    write_open_turn(tmp_path, time.time_ns())
    for name in ("state_5.sqlite", "thread_history_1.sqlite"):
        (tmp_path / name).write_bytes(b"SQLite format 3\0" + b"\xff" * 5_000)

    assert [Path(reject.file).name for reject in report_of(tmp_path).rejects] == [
        "state_5.sqlite",
        "thread_history_1.sqlite",
    ]
