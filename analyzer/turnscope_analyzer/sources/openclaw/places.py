"""Which files OpenClaw keeps, told by their content and their place, and which state folder each belongs to."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from turnscope_analyzer.sources.openclaw.gateway_log import is_log
from turnscope_analyzer.sources.openclaw.timeline import is_timeline
from turnscope_analyzer.sources.snapshot import MAGIC

if TYPE_CHECKING:
    from collections.abc import Callable

Kind = Literal["rows", "agent", "state", "lock", "trajectory", "transcript", "timeline", "log", "trace"]

_TRAJECTORY: Final = re.compile(rb'"traceSchema"\s*:\s*"openclaw-trajectory"')
_TRANSCRIPT: Final = re.compile(rb'^\s*\{"type"\s*:\s*"session"\s*,[^\n]*"version"\s*:\s*\d+[^\n]*"cwd"')
_LOCK: Final = re.compile(rb'\s*\{\s*"pid"\s*:\s*\d+')
_ROWS: Final = re.compile(rb'\s*\{\s*(?:\}\s*$|"[^"]*"\s*:\s*\{)')
_COPY: Final = re.compile(r"\.(?:checkpoint|bak|deleted|reset)\b")
"""Older states of a transcript that the gateway keeps beside it: their turns stand in the transcript, too."""

_SHADOW: Final = re.compile(r"^(.*)/agents/[^/]+/agent/codex-home/home/\.openclaw(?=/|$)")


def kind_of(path: Path, head: bytes) -> Kind | None:
    """Tell what a file is by its path and the first bytes of it, None where it is none of OpenClaw's that we read."""
    if head.startswith(MAGIC):
        return _STORES.get(path.name)
    return next((kind for kind, is_it in _KINDS if is_it(path, head)), None)


def _is_rows(path: Path, head: bytes) -> bool:
    return path.name == "sessions.json" and _ROWS.match(head) is not None and (b'"sessionId"' in head or len(head) < 4)


def _is_transcript(path: Path, head: bytes) -> bool:
    if _COPY.search(path.name):
        return False
    # In its place it is one even where its first line is damaged.
    in_place = path.parent.name == "sessions" and ".jsonl" in path.name and head.lstrip(b"\0").startswith(b"{")
    return in_place or _TRANSCRIPT.match(head) is not None


def _is_trace(path: Path, _head: bytes) -> bool:
    # It says nothing; but where it lies in a shadow, a tool has run there.
    return path.name == "config-health.json" and canonical_of(path) is not None


_STORES: Final[dict[str, Kind]] = {"openclaw-agent.sqlite": "agent", "openclaw.sqlite": "state", "runs.sqlite": "state"}
_KINDS: Final[tuple[tuple[Kind, Callable[[Path, bytes], bool]], ...]] = (
    ("rows", _is_rows),
    ("lock", lambda path, head: path.name.endswith(".jsonl.lock") and _LOCK.match(head) is not None),
    ("trace", _is_trace),
    ("trajectory", lambda _path, head: _TRAJECTORY.search(head[:4096]) is not None),
    ("transcript", _is_transcript),
    ("timeline", lambda _path, head: is_timeline(head)),
    ("log", lambda _path, head: is_log(head)),
)


def root_of(path: Path) -> Path | None:
    """Return the state folder that *path* is a file of, None for one that may lie anywhere, such as a log."""
    names = path.parts
    if len(names) > 4 and names[-4] == "agents" and names[-2] in ("sessions", "agent"):
        return path.parents[3]
    if path.name in ("openclaw.sqlite", "runs.sqlite"):
        return path.parents[1]
    shadow = _SHADOW.match(path.as_posix())
    return Path(shadow[0]) if shadow else None


def canonical_of(path: Path) -> Path | None:
    """Return the state folder that *path* lies in the shadow of: a tool ran with a home that is inside of it."""
    shadow = _SHADOW.match(path.as_posix())
    return Path(shadow[1]) if shadow else None


def nearest(path: Path, roots: list[Path]) -> Path:
    """Return which of *roots* a log belongs to: the one that lies nearest, its own folder where there is none."""
    near = max(roots, key=lambda root: len(os.path.commonpath([root, path])), default=None)
    return path.parent if near is None else near
