"""What the indexes of a Codex home say against its rollouts."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from codex_home_kit import (
    THREAD,
    TURN,
    S,
    held,
    leave_lock,
    recorded_home,
    report_of,
    verdicts,
    write_open_turn,
    write_turns,
)


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
        connection.execute("CREATE TABLE threads (id TEXT, rollout_path TEXT, archived INTEGER)")
        connection.executemany("INSERT INTO threads VALUES ('01a1', ?, ?)", rows)
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
