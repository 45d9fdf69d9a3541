"""Databases that somebody writes to: they are read as they stand, and nobody notices."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from turnscope_analyzer.sources.snapshot import snapshot, why

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRITER = """
import sqlite3, sys
live = sqlite3.connect(sys.argv[1], isolation_level=None)
live.execute("PRAGMA journal_mode=WAL")
live.execute("PRAGMA wal_autocheckpoint=0")
live.execute("CREATE TABLE t (n INTEGER)")
for line in sys.stdin:
    live.execute("INSERT INTO t VALUES (?)", [int(line)])
    print("written", flush=True)
"""


class Writer:
    """A process that holds a database open; each number that it is told becomes a row, none is checkpointed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def write(self, number: int) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "written\n"


@contextmanager
def live(path: Path) -> Iterator[Writer]:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdin=-1, stdout=-1, text=True)
    try:
        yield Writer(process)
    finally:
        process.kill()
        process.communicate()


def numbers(path: Path) -> list[int]:
    with snapshot(path) as connection:
        return [number for (number,) in connection.execute("SELECT n FROM t ORDER BY n")]


def state_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_what_a_live_process_has_written_is_read_and_nothing_of_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "live.sqlite"
    with live(path) as writer:
        writer.write(1)
        writer.write(2)
        before = state_of(tmp_path)

        assert numbers(path) == [1, 2]

        assert state_of(tmp_path) == before
        writer.write(3)
        assert numbers(path) == [1, 2, 3]


def test_what_a_killed_process_left_in_the_log_is_read(tmp_path: Path) -> None:
    path = tmp_path / "killed.sqlite"
    with live(path) as writer:
        writer.write(7)

    assert path.stat().st_size <= 4096
    assert numbers(path) == [7]


def test_a_copy_that_was_torn_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "live.sqlite"
    with live(path) as writer:
        writer.write(1)
        copied: list[str] = []

        def copy_and_meet_a_checkpoint(source: Path, target: Path) -> None:
            shutil.copyfile(source, target)
            copied.append(source.name)
            if len(copied) == 1:
                with sqlite3.connect(path) as other:
                    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")

        monkeypatch.setattr("turnscope_analyzer.sources.snapshot.shutil", _With(copy_and_meet_a_checkpoint))

        assert numbers(path) == [1]

    assert copied.count("live.sqlite") == 2


def test_a_database_that_never_holds_still_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "busy.sqlite"
    sqlite3.connect(path).close()
    path.write_bytes(b"")
    ticks = iter(range(1, 100))

    def copy_and_meet_a_write(source: Path, target: Path) -> None:
        shutil.copyfile(source, target)
        os.utime(path, ns=(0, next(ticks)))

    monkeypatch.setattr("turnscope_analyzer.sources.snapshot.shutil", _With(copy_and_meet_a_write))

    with pytest.raises(OSError, match="changed each time") as raised, snapshot(path):
        pass

    assert why(raised.value) == "cannot be read: it changed each time while it was being copied"


class _With:
    """The part of ``shutil`` that a snapshot uses."""

    def __init__(self, copyfile: object) -> None:
        self.copyfile = copyfile
