"""The stores of a home: each folder with records, where it really lies, and whether anybody uses it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.describe import instant_words
from turnscope_analyzer.doctor.diagnosis import Store
from turnscope_analyzer.sources.openclaw.places import canonical_of, root_of
from turnscope_analyzer.sources.opened import size_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from turnscope_analyzer.discover import Found
    from turnscope_analyzer.doctor.openclaw import State

_KINDS: Final = {
    "codex": "Codex home",
    "openclaw": "OpenClaw state folder",
    "claude-code": "Claude Code transcripts",
    "journal": "turnscope journal",
    "otlp": "OpenTelemetry files",
}
_SHADOW: Final = "second OpenClaw state folder"
_CODEX_FOLDERS: Final = frozenset({"sessions", "archived_sessions", "thread-writer-locks", "sqlite"})


def stores_of(
    home: Path, found: Found, states: Mapping[Path, State], open_stores: Mapping[str, set[int]], writers: Iterable[str]
) -> Iterator[Store]:
    """Yield the stores of *home* with what tells whether they are in use.

    Args:
        home: The folder that was looked at.
        found: Its files by kind.
        states: Its state folders of OpenClaw.
        open_stores: Real state folders that a live process has open.
        writers: Files of records whose process lives.
    """
    written = [os.path.realpath(file) for file in writers]
    for kind, files in found.files.items():
        for root, own in sorted(_by_root(home, kind, files).items()):
            real = os.path.realpath(root)
            owners = set(open_stores.get(real, ()))
            if kind == "openclaw" and root in states:
                owners |= states[root].owners()
            live, why = _life(owners, [file for file in written if file.startswith(real + os.sep)])
            changed_ns = max(map(_changed_ns, own), default=0) or None
            if live is None and changed_ns is not None:
                why += f"; last written {instant_words(changed_ns)}"
            yield Store(
                kind=_SHADOW if kind == "openclaw" and canonical_of(root) else _KINDS.get(kind, kind),
                path=root,
                real=real,
                files=len(own),
                bytes=sum(map(size_of, own)),
                changed_ns=changed_ns,
                live=live,
                why=why,
            )


def _life(owners: set[int], written: Sequence[str]) -> tuple[bool | None, str]:
    if owners:
        named = ", ".join(map(str, sorted(owners)))
        return True, f"in use by process {named}, which has it open"
    if written:
        return True, f"in use: a process is writing {Path(written[0]).name}"
    return None, "no process is seen to use it"


def _by_root(home: Path, kind: str, files: Iterable[Path]) -> dict[Path, list[Path]]:
    found: dict[Path, list[Path]] = {}
    for path in files:
        root = root_of(path) if kind == "openclaw" else _codex_root(path) if kind == "codex" else None
        found.setdefault(root or home, []).append(path)
    return found


def _codex_root(path: Path) -> Path | None:
    """Return the Codex home that *path* is a file of, None for one that lies anywhere."""
    inside = next((folder for folder in path.parents if folder.name in _CODEX_FOLDERS), None)
    return inside.parent if inside is not None else path.parent if path.suffix == ".sqlite" else None


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
