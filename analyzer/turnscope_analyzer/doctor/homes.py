"""Which homes are meant, where they really lie, and which of them a gateway has open; nothing is ever created.

A tool that runs inside of an agent has a HOME of its own, and finds an empty state folder there in place of the
gateway's. That is told by the path, and the gateway's folder is looked at instead.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope_analyzer.errors import AnalyzeError, PathMissingError
from turnscope_analyzer.sources.openclaw.gateway import own_folders
from turnscope_analyzer.sources.openclaw.places import canonical_of, root_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PROC: Final = Path("/proc")
_OPEN: Final = frozenset({"openclaw.sqlite", "openclaw-agent.sqlite", "runs.sqlite"})
"""What a gateway keeps open while it lives."""

_HOMES: Final = (".openclaw", ".codex")


class Home(NamedTuple):
    """A folder to look at, and why: it was given, or a variable or a default names it."""

    path: Path
    why: str


class NoHomeError(AnalyzeError):
    """None was given, and there is none in its usual place."""

    def __init__(self, looked: Sequence[str]) -> None:
        super().__init__(f"no home of Codex or OpenClaw in {', '.join(looked)}. Give the folder of one.")


def homes(given: Sequence[Path], environment: Mapping[str, str]) -> tuple[list[Home], list[str]]:
    """Return the homes to look at, each real folder once, and what a person has to know of the choice.

    Raises:
        PathMissingError: One that was given does not exist.
        NoHomeError: None was given, and there is none.
    """
    chosen = [home for path in given for home in _given(path)] if given else list(_usual(environment))
    warnings = list(isolated(environment))
    found: dict[str, Home] = {}
    for home in chosen:
        canonical = canonical_of(Path(os.path.realpath(home.path)))
        if canonical is not None:
            if given:
                warnings.append(
                    f"{home.path} lies inside of an agent's isolated home; no gateway uses it. "
                    f"Looked at instead: {canonical}, which it shadows."
                )
            home = Home(canonical, f"{home.why}, which shadows it")  # noqa: PLW2901 -- the same one, in its place
        if home.path.is_dir():
            found.setdefault(os.path.realpath(home.path), home)
    if not found:
        raise NoHomeError([str(home.path) for home in chosen])
    # A home inside of another one is looked at with that.
    kept = [home for real, home in found.items() if not any(real.startswith(other + os.sep) for other in found)]
    return kept, list(dict.fromkeys(warnings))


def _given(path: Path) -> Iterator[Home]:
    if not path.exists():
        raise PathMissingError(path)
    inside = [path / name for name in _HOMES if (path / name).is_dir()]
    yield from (Home(folder, f"in {path}") for folder in inside)
    if not inside:
        yield Home(path, "given")


def _usual(environment: Mapping[str, str]) -> Iterator[Home]:
    """Yield the homes that this environment names, whether they exist or not."""
    home = Path(environment.get("HOME") or "~").expanduser()
    if told := environment.get("CODEX_HOME"):
        yield Home(Path(told), "$CODEX_HOME")
    else:
        yield Home(home / ".codex", "~/.codex")
    if told := environment.get("OPENCLAW_STATE_DIR"):
        yield Home(Path(told), "$OPENCLAW_STATE_DIR")
    else:
        base = "$OPENCLAW_HOME" if environment.get("OPENCLAW_HOME") else "~"
        yield Home(Path(environment.get("OPENCLAW_HOME") or home) / ".openclaw", f"{base}/.openclaw")
    yield from (Home(Path(folder), "a profile") for folder in sorted(own_folders()) if Path(folder, "agents").is_dir())


def isolated(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for each variable that points into an agent's isolated home."""
    for name, ending in (("HOME", ".openclaw"), ("OPENCLAW_HOME", ".openclaw"), ("OPENCLAW_STATE_DIR", "")):
        value = environment.get(name)
        canonical = canonical_of(Path(os.path.realpath(Path(value) / ending))) if value else None
        if canonical is not None:
            yield (
                f"{name} is {value}, an agent's isolated home: openclaw commands from here see "
                f"{Path(value or '') / ending}, not the gateway's store, {canonical}. "
                f"Run them with OPENCLAW_STATE_DIR={canonical}."
            )


def open_stores() -> dict[str, set[int]]:
    """Return the real state folders that processes of this host have open, with their ids; only of those we may see."""
    found: dict[str, set[int]] = {}
    for process in _PROC.glob("[0-9]*"):
        try:
            held = {root for root in map(_store_of, (process / "fd").iterdir()) if root is not None}
        except OSError:
            # It is gone by now, or another user's.
            continue
        for root in held:
            found.setdefault(root, set()).add(int(process.name))
    return found


def _store_of(link: Path) -> str | None:
    """Return the real state folder whose store an open file is, None for any other file."""
    target = Path(os.path.realpath(link))
    root = root_of(target) if target.name in _OPEN else None
    return None if root is None else os.path.realpath(root)
