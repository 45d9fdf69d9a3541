"""Killed at any moment, a rescue leaves the old file or the new one, and a way back; and so does its undoing."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from codex_kit import THREAD, Rollout
from rescue_kit import old, rollout_in, url


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.parametrize(("what", "end"), [("apply", "new"), ("undo", "old")])
def test_killed_at_any_moment_it_leaves_the_old_or_the_new_file_and_a_way_back(
    tmp_path: Path, what: str, end: str
) -> None:
    path = rollout_in(tmp_path / "home")
    rollout = Rollout(path).meta()
    for number in range(2):
        content = [{"type": "input_image", "image_url": url(20_000, number)}]
        rollout.add("response_item", "message", role="user", content=content)
    rollout.read()
    with closing(sqlite3.connect(tmp_path / "home" / "thread_history_1.sqlite")) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE thread_turns (thread_id TEXT, rollout_byte_offset INTEGER)")
        connection.execute("INSERT INTO thread_turns VALUES (?, 40000)", (THREAD,))
        connection.commit()
    old(tmp_path / "home" / "thread_history_1.sqlite")

    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("rescue_killer.py"), old(path), tmp_path / "home", what],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    said = done.stdout.splitlines()
    assert said[-1:] == [f"done {end}"], done.stderr
    assert set(said) == {"killed old", "killed new", f"done {end}"}
    assert len(said) > 15, "fewer moments than there are file operations"
