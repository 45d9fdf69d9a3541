"""A Codex that lives is read and not disturbed: it goes on, keeps its locks, and ends its turn."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.binary import VERSIONS, is_new
from lab.codex import AppServer
from lab.scenarios import APP, Case, Scenario
from lab.stage import BUDGETS, start, until
from turnscope_analyzer.analyze import analyze

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.home import Home
    from lab.model import Model
    from lab.stage import Stage
    from turnscope_analyzer.model import Verdict

pytestmark = pytest.mark.lab

SECOND_NS = 1_000_000_000
HELD = Scenario("held", "held", ("turn",), APP, open=True)
PAST_BUDGET_S = 3.0

Look = tuple[int, int, int, str]


@dataclass
class Scene:
    """An app-server whose turn the model holds back in mid-text."""

    case: Case
    home: Home
    model: Model
    codex: AppServer
    stage: Stage

    def read(self) -> tuple[Verdict, ...]:
        """Analyze all that there is, as a person would who looks at a turn that does not end."""
        report = analyze([self.home.path, self.home.exported], budgets=BUDGETS, everything=True)
        assert report.rejects == ()
        return report.turns


@pytest.fixture(params=VERSIONS)
def scene(request: pytest.FixtureRequest, stage: Stage) -> Iterator[Scene]:
    case = Case(HELD, "app-server", request.param)
    home, model = stage.set_up(case, f"live-{request.node.name}".translate(str.maketrans("[].", "---")))
    codex = start(case, home)
    assert isinstance(codex, AppServer)
    try:
        codex.wait_for_call("item/agentMessage/delta")
        time.sleep(PAST_BUDGET_S)
        yield Scene(case, home, model, codex, stage)
    finally:
        # A stopped process is woken first, or it could not die.
        with contextlib.suppress(ProcessLookupError):
            codex.process.send_signal(signal.SIGCONT)
        codex.close()


def test_a_live_turn_is_stuck_now_and_no_orphan(scene: Scene) -> None:
    [told] = scene.read()

    now_ns = time.time_ns()
    assert told.state == "stuck"
    assert told.horizon_ns is not None
    assert told.accepted_ns is not None
    assert told.age_ms is not None
    assert now_ns - told.horizon_ns < 30 * SECOND_NS
    assert PAST_BUDGET_S * 1_000 < told.age_ms <= (now_ns - told.accepted_ns) / 1_000_000


def test_reading_changes_no_file_of_a_codex_that_holds_still(scene: Scene) -> None:
    os.kill(scene.codex.process.pid, signal.SIGSTOP)
    until(lambda: _state_of(scene.codex.process.pid) == "T", "stop")
    before = _looks(scene.home.path)

    scene.read()

    assert _looks(scene.home.path) == before


def test_codex_goes_on_while_it_is_read_and_ends_its_turn(scene: Scene) -> None:
    bystanders = _bystanders(scene.home)
    scene.stage.release(scene.model)
    stop_at = time.monotonic() + 2.0

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(_read_until, scene, stop_at)
        scene.codex.wait_for_end()
        scene.codex.next_thread(scene.home)
        scene.codex.prompt()
        until(lambda: _ends(scene.codex) == 2, "end of a second thread's turn")
        states = reading.result()

    assert states <= {"stuck", "slow", "healthy"}
    assert _bystanders(scene.home) == bystanders
    assert [message["params"]["turn"]["status"] for message in _completed(scene.codex)] == ["completed", "completed"]
    scene.codex.leave()
    assert scene.codex.process.returncode == 0
    assert _damaged(scene.home) == {}
    report = analyze([scene.home.path], everything=True)
    assert [verdict.state for verdict in report.turns] == ["healthy", "healthy"]


def test_the_locks_of_a_live_codex_stay_its_own(scene: Scene) -> None:
    if not is_new(scene.case.version):
        pytest.skip("this version has no locks")
    locks = scene.home.path / "thread-writer-locks"
    lock = locks / f"{scene.codex.thread}.lock"

    scene.read()

    with lock.open("rb") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    scene.stage.release(scene.model)
    scene.codex.wait_for_end()
    scene.codex.leave()
    assert sorted(path.name for path in locks.iterdir()) == [".coordination.lock"]


def _read_until(scene: Scene, stop_at: float) -> set[str]:
    """Analyze over and over until *stop_at*, and return every state that was told."""
    states: set[str] = set()
    while not states or time.monotonic() < stop_at:
        states |= {verdict.state for verdict in scene.read()}
    return states


def _completed(codex: AppServer) -> list[dict[str, dict[str, dict[str, str]]]]:
    return [message for message in codex.said if message.get("method") == "turn/completed"]


def _ends(codex: AppServer) -> int:
    return len(_completed(codex))


def _state_of(pid: int) -> str:
    """Return a process's state as /proc has it."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


def _looks(folder: Path) -> dict[str, Look]:
    """Return what tells by file whether somebody touched it; not when it was last read."""
    return {str(path.relative_to(folder)): _look(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def _look(path: Path) -> Look:
    status = path.stat()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return status.st_mtime_ns, status.st_size, status.st_mode, digest


def _bystanders(home: Home) -> dict[str, Look]:
    """Return the looks of what Codex itself does not write while a turn runs."""
    looks = _looks(home.path)
    return {name: look for name, look in looks.items() if name in {"config.toml", "installation_id"}}


def _damaged(home: Home) -> dict[str, str]:
    """Return what is wrong with each database, looked at in a copy."""
    wrong = {}
    for database in home.path.glob("*.sqlite"):
        copy = home.path.parent / "copies" / database.name
        copy.parent.mkdir(exist_ok=True)
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(f"{database}{suffix}", f"{copy}{suffix}")
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            [[said]] = connection.execute("PRAGMA integrity_check").fetchall()
        if said != "ok":
            wrong[database.name] = said
    return wrong
