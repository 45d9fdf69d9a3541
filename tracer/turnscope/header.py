"""What a segment says about its process: its first line, its last one, and the name of its file."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from turnscope.process import VERSION
from turnscope.segment import LONGEST_LINE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from turnscope.process import Identity

FORMAT_VERSION: Final = 1
"""Version of docs/journal-format.md that is written here."""


class Header(NamedTuple):
    """What all segments of one process repeat; ``wall_ns`` and ``mono_ns`` are those of its first."""

    identity: Identity
    wall_ns: int
    mono_ns: int
    service: str
    budgets: Mapping[str, tuple[float, float]]

    def line(self, number: int) -> bytes:
        """Return the first line of segment *number*."""
        who = self.identity
        return note_line(
            {
                "turnscope": "journal",
                "version": FORMAT_VERSION,
                "proc": who.process_id,
                "segment": number,
                "t": self.wall_ns,
                "m": self.mono_ns,
                "pid": who.pid,
                "pid_start": who.pid_start,
                "host": who.host,
                "boot": who.boot,
                "pid_space": who.pid_space,
                "service": self.service,
                "sdk": VERSION,
                "budgets": dict(self.budgets),
            }
        )

    def path(self, folder: Path, number: int) -> Path:
        """Return where segment *number* stands; the name helps a person, readers go by content."""
        began = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self.wall_ns // 1_000_000_000))
        return folder / f"{began}-{self.identity.process_id}-{number:06d}.jsonl"


def end_line(note: Mapping[str, object], open_turns: Sequence[str], drops: Mapping[str, int]) -> bytes:
    """Return the ``end`` note; where not all of *open_turns* fit into a line, the first ones of them."""
    line = note_line({"turnscope": "end", **note, "open": list(open_turns), "drops": dict(drops)})
    if len(line) <= LONGEST_LINE:
        return line
    return end_line(note, open_turns[: len(open_turns) // 2], drops)


def note_line(note: Mapping[str, object]) -> bytes:
    """Return *note* as a line of the journal."""
    return orjson.dumps(note, option=orjson.OPT_APPEND_NEWLINE)
