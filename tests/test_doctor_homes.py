"""Which homes the doctor looks at: defaults, links, profiles, and the HOME of a tool inside of an agent."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from openclaw_kit import State
from turnscope_analyzer.doctor.homes import NoHomeError, homes, open_stores
from turnscope_analyzer.errors import PathMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLDER = "import sys; held = open(sys.argv[1], 'rb'); print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with a Codex home and a state folder of OpenClaw."""
    home = tmp_path / "user"
    (home / ".codex").mkdir(parents=True)
    State(home / ".openclaw").row(status="done")
    monkeypatch.setenv("HOME", str(home))
    for name in ("CODEX_HOME", "OPENCLAW_HOME", "OPENCLAW_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    return home


def chosen(*given: Path) -> list[str]:
    return [str(home.path) for home in homes(given, os.environ)[0]]


def isolated(user: Path) -> Path:
    inside = user / ".openclaw" / "agents" / "main" / "agent" / "codex-home" / "home"
    inside.mkdir(parents=True)
    return inside


def test_the_homes_of_the_user_that_exist_are_looked_at(user: Path) -> None:
    assert chosen() == [str(user / ".codex"), str(user / ".openclaw")]

    (user / ".codex").rmdir()
    State(user / ".openclaw-work")
    assert chosen() == [str(user / ".openclaw"), str(user / ".openclaw-work")]


def test_variables_name_other_homes(user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "codex").mkdir()
    State(tmp_path / "state")
    monkeypatch.setenv("CODEX_HOME", str(tmp_path / "codex"))
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path / "state"))

    assert chosen() == [str(tmp_path / "codex"), str(tmp_path / "state"), str(user / ".openclaw")]


def test_a_home_that_is_a_link_is_looked_at_once(user: Path) -> None:
    (user / ".openclaw-link").symlink_to(user / ".openclaw", target_is_directory=True)

    assert chosen() == [str(user / ".codex"), str(user / ".openclaw")]


def test_a_folder_that_has_homes_in_it_stands_for_them(user: Path) -> None:
    assert chosen(user) == [str(user / ".openclaw"), str(user / ".codex")]
    assert chosen(user / ".codex") == [str(user / ".codex")]


def test_what_is_not_there_is_an_error(user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PathMissingError):
        chosen(tmp_path / "nowhere")

    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    with pytest.raises(NoHomeError, match="Give the folder of one"):
        chosen()


@pytest.mark.parametrize("name", ["HOME", "OPENCLAW_HOME"])
def test_an_isolated_home_is_told_and_the_store_that_it_shadows_looked_at(
    name: str, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = isolated(user)
    monkeypatch.setenv(name, str(inside))

    found, warnings = homes([], os.environ)

    assert str(user / ".openclaw") in [str(home.path) for home in found]
    [warning] = warnings
    assert warning.startswith(f"{name} is {inside}, an agent's isolated home")
    assert f"OPENCLAW_STATE_DIR={user / '.openclaw'}" in warning
    assert list(inside.iterdir()) == []


def test_a_shadow_that_was_given_is_looked_at_with_what_it_shadows(user: Path) -> None:
    shadow = State(isolated(user) / ".openclaw").root

    found, warnings = homes([shadow], os.environ)

    assert [str(home.path) for home in found] == [str(user / ".openclaw")]
    assert "no gateway uses it" in warnings[0]


@pytest.fixture
def holder(user: Path) -> Iterator[tuple[Path, int]]:
    """A state folder, and the process that has its database open, as a gateway has."""
    store = user / ".openclaw" / "tasks" / "runs.sqlite"
    store.parent.mkdir()
    store.touch()
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(store)], stdin=-1, stdout=-1, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield user / ".openclaw", process.pid
    finally:
        process.communicate("")


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no /proc here")  # noqa: PTH112 -- of the system
def test_the_store_that_a_process_has_open_is_known(holder: tuple[Path, int]) -> None:
    root, pid = holder

    assert open_stores()[str(root)] == {pid}
