"""What the tests of the journal share: stepped clocks, lines, scripts in processes of their own, small disks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

import turnscope
from turnscope.journal import Journal
from turnscope.reading import Note, RawMark, read_segment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

START_NS = 1_795_223_156_000_000_000
SECOND_NS = 1_000_000_000
SMALL_BYTES = 128 << 10


class Clocks:
    """A wall, a monotonic and a boot clock of a host that runs, sleeps and is set when the test says so."""

    def __init__(self) -> None:
        self.wall, self.mono, self.boot = START_NS, 50 * SECOND_NS, 60 * SECOND_NS

    def run(self, seconds: float) -> None:
        for clock in ("wall", "mono", "boot"):
            setattr(self, clock, getattr(self, clock) + int(seconds * SECOND_NS))

    def suspend(self, seconds: float) -> None:
        self.wall += int(seconds * SECOND_NS)
        self.boot += int(seconds * SECOND_NS)

    def set_wall(self, seconds: float) -> None:
        self.wall += int(seconds * SECOND_NS)


def stepped(folder: Path, clocks: Clocks | None = None, **settings: Any) -> Journal:
    """Return a journal without a thread, on clocks that stand still."""
    ticks = clocks or Clocks()
    return Journal(
        folder,
        wall_ns=lambda: ticks.wall,
        mono_ns=lambda: ticks.mono,
        boot_ns=lambda: ticks.boot,
        pulse_s=None,
        **settings,
    )


def line(
    seq: int,
    turn: str = "t1",
    phase: str = "accepted",
    lane: str = "turn",
    *,
    proc: str = "feedfacecafe",
    at_s: float = 0,
    session: str = "s1",
    attrs: dict[str, object] | None = None,
) -> bytes:
    """Return a mark as a line; *at_s* seconds after the clocks' start."""
    at_ns = int(at_s * SECOND_NS)
    mark: dict[str, object] = {"turn": turn, "session": session, "lane": lane, "phase": phase}
    mark |= {"t": START_NS + at_ns, "m": 50 * SECOND_NS + at_ns, "seq": seq, "proc": proc}
    return orjson.dumps(mark | ({"attrs": attrs} if attrs else {}), option=orjson.OPT_APPEND_NEWLINE)


def padded(seq: int, turn: str = "t1", phase: str = "first_item", lane: str = "upstream:1", **rest: Any) -> bytes:
    """Return a mark of about a kilobyte, to fill a segment with few of them."""
    return line(seq, turn, phase, lane, attrs={"kind": "x" * 900}, **rest)


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def marks(folder: Path) -> list[dict[str, Any]]:
    """Return all marks of all segments, in the order of the files."""
    return [entry.fields() for path in segments(folder) for entry in read_segment(path) if isinstance(entry, RawMark)]


def seqs(folder: Path) -> list[Any]:
    return [mark["seq"] for mark in marks(folder)]


def notes(folder: Path, kind: str) -> list[dict[str, Any]]:
    found = (entry for path in segments(folder) for entry in read_segment(path))
    return [entry.fields for entry in found if isinstance(entry, Note) and entry.kind == kind]


def lives(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.life"))


def script(code: str, *args: object) -> Sequence[str]:
    return [sys.executable, "-c", _PRELUDE + code, *map(str, args)]


def environment() -> dict[str, str]:
    roots = (Path(turnscope.__file__).parents[1], Path(__file__).parent)
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, roots))}


def run(code: str, *args: object) -> str:
    """Run *code* in a process of its own to its end, and return what it printed."""
    done = subprocess.run(
        script(code, *args), env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def start(code: str, *args: object) -> subprocess.Popen[bytes]:
    """Start *code* in a process of its own, with pipes to its stdin and from its stdout."""
    return subprocess.Popen(script(code, *args), env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """Mount something on *folder*; yields nothing where that is not allowed."""
    folder.mkdir()
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, check=False)
    if done.returncode == 0:
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=True)


_PRELUDE = """
import os, sys
from pathlib import Path
from journal_kit import *
from turnscope.journal import Journal
folder = Path(sys.argv[1])
"""
