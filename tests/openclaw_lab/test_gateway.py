"""The doctor beside a real gateway: it names who uses the store, leaves it alone, and repairs it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from openclaw_lab.gateway import FOLDER, Gateway, Model
from turnscope_analyzer import cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

pytestmark = [
    pytest.mark.openclaw,
    pytest.mark.skipif(FOLDER is None, reason="no OpenClaw here; make lab-openclaw installs it"),
]

RERUN = "startup-orphaned main session(s) for restart recovery"
"""What a gateway says at its start of turns that it holds for interrupted, before it is ready."""

AT_REST_S = 6


@pytest.fixture
def model() -> Iterator[Model]:
    with Model() as model:
        yield model


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a gateway that has answered two messages and was stopped."""
    home = tmp_path_factory.mktemp("used")
    with Model() as model, Gateway(home, model) as gateway:
        assert [gateway.send("hello"), gateway.send("again")] == ["Done.", "Done."]
    return home


@pytest.fixture
def home(used: Path, tmp_path: Path) -> Path:
    """A copy of the used home."""
    shutil.copytree(used, tmp_path / "home", symlinks=True)
    # The gateway's own locks name the process that is gone.
    shutil.rmtree(tmp_path / "home" / ".openclaw" / "tmp", ignore_errors=True)
    return tmp_path / "home"


def doctor(*words: object) -> Result:
    return CliRunner().invoke(cli.main, ["doctor", *map(str, words)])


def looks(folder: Path) -> dict[str, tuple[int, str]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files}


def store_of(home: Path) -> Path:
    return home / ".openclaw" / "agents" / "main" / "agent" / "openclaw-agent.sqlite"


def make_zombie(home: Path) -> None:
    """Let the row say what openclaw#60250 has seen: it runs, and it has ended; the gateway holds it for valid."""
    with closing(sqlite3.connect(store_of(home))) as store, store:
        [(text,)] = store.execute("SELECT entry_json FROM session_nodes")
        row = json.dumps({**json.loads(text), "status": "running"})
        store.execute("UPDATE session_nodes SET entry_json = ?, status = 'running'", (row,))
        store.execute("UPDATE session_windows SET status = 'running'")
        store.execute("UPDATE session_nodes SET entry_valid = 1")
    time.sleep(AT_REST_S)


def statuses(home: Path) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(f"{store_of(home).as_uri()}?mode=ro", uri=True)) as store:
        return list(store.execute("SELECT status, entry_valid FROM session_nodes"))


@pytest.mark.parametrize("repaired", [False, True])
def test_a_start_runs_a_zombie_s_turn_again_unless_it_was_repaired(home: Path, model: Model, *, repaired: bool) -> None:
    make_zombie(home)
    state = home / ".openclaw"
    told = doctor(state)
    assert "ERROR ZOMBIE_RUNNING" in told.stdout
    assert "restart now: unsafe" in told.stdout
    if repaired:
        fixed = doctor(state, "--fix", "ZOMBIE_RUNNING", "--apply")
        assert "looked again: no ZOMBIE_RUNNING is left." in fixed.stdout, fixed.output

    with Gateway(home, model) as gateway:
        assert (RERUN in gateway.said()) != repaired
        if not repaired:
            gateway.wait_for("main-session restart recovery terminal")
        assert model.asked == (0 if repaired else 1)
        assert gateway.send("third") == "Done."
        after = doctor(state)

    assert statuses(home) == [("done", 1)]
    assert after.exit_code == cli.EXIT_OK, after.stdout


def test_a_living_gateway_is_named_and_its_files_stay_as_they_are(
    home: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = home / ".openclaw" / "agents" / "main" / "agent" / "codex-home" / "home"
    inside.mkdir(parents=True)
    with Gateway(home, model) as gateway:
        gateway.send("third")
        os.kill(gateway.process.pid, signal.SIGSTOP)
        before = looks(gateway.state)

        told = doctor(gateway.state)
        monkeypatch.setenv("HOME", str(inside))
        isolated = doctor()

        assert looks(gateway.state) == before
        pid = gateway.process.pid
    for result in (told, isolated):
        assert result.exit_code == cli.EXIT_OK, result.output
        assert f"in use by process {pid}, which has it open" in " ".join(result.stdout.split())
    assert "an agent's isolated home" in " ".join(isolated.stdout.split())
    assert list(inside.iterdir()) == []
