"""What is on file about a run, in one shape whichever store of OpenClaw it came from.

Stores contradict each other, so every entry says which one it is from: the reader of a turn decides whom to believe.
No text of a conversation gets into an entry: kinds, ids and times only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from turnscope_analyzer.sources.objects import BLANK, lines_of, parse_object
from turnscope_analyzer.sources.timeline import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from turnscope_analyzer.sources.rejects import Rejects

Store = Literal["audit", "transcript", "trajectory", "row", "pending", "log", "timeline"]

LINE_BYTES: Final = 4 << 20
"""A record up to this size is read whole. OpenClaw writes its largest, a compiled context, with some 100 kB."""

_END_MS: Final = 7_000_000_000_000
"""No time lies later: a damaged one must not leave 64 bits when it is made nanoseconds."""


class Where(NamedTuple):
    """A record's place: the byte in a file, or the row's number in a database."""

    file: str
    offset: int


class Entry(NamedTuple):
    """One thing on file about a run.

    ``what`` is one of: accepted, queued, user (a user's record in the transcript), started, hydrated, prompted,
    sent, headers, responded (a request is over, and went well), request_failed, answer, aborted, note (written by
    the gateway in the model's place), call, result, compacting, compacted, compaction_failed, prompt_error,
    attempt_ended, run_done, finished, surfaced (the user was told of the error), timed_out, seen.
    """

    at_ns: int
    what: str
    store: Store
    where: Where
    attrs: Mapping[str, Any] = {}


@dataclass(slots=True)
class Run:
    """The entries that carry one run's id, in no order; ``session_id`` and ``key`` as far as one of them names it."""

    run_id: str
    session_id: str | None = None
    key: str | None = None
    entries: list[Entry] = field(default_factory=list)

    def add(self, entry: Entry, session_id: str | None = None, key: str | None = None) -> None:
        """Take *entry* in, and what it says about the session; a log names a run in many lines that say no more."""
        if (entry.what, entry.store) != ("seen", "log"):
            self.entries.append(entry)
        self.session_id = self.session_id or session_id
        self.key = self.key or key


class Runs(dict[str, Run]):
    """Runs by id; asking for an unknown one begins it."""

    def __missing__(self, run_id: str) -> Run:
        run = self[run_id] = Run(run_id)
        return run


class JsonLine(NamedTuple):
    """A line of a JSONL file that holds an object."""

    where: Where
    content: Mapping[str, Any]


def json_lines(path: Path, rejects: Rejects) -> Iterator[JsonLine]:
    """Read the objects of a JSONL file; lines that are none go into *rejects*.

    Raises:
        OSError: The file cannot be opened.
    """
    for line in lines_of(path, rejects, LINE_BYTES):
        text = line.head.strip(BLANK)
        if not text:
            continue
        content = parse_object(text) if line.whole else None
        if content is None:
            rejects.add(line.offset, f"{line.length} bytes that are no JSON object that can be read")
        else:
            yield JsonLine(Where(str(path), line.offset), content)


def ms_ns(value: object) -> int | None:
    """Return epoch milliseconds as ns, None where *value* is not such a time."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < _END_MS:
        return None
    return int(value * 1_000) * 1_000


def time_ns(value: object) -> int | None:
    """Return a time as ns since the epoch, from milliseconds or from ISO text with any offset."""
    if not isinstance(value, str):
        return ms_ns(value)
    text, shift_s = value[:-6], _offset_s(value[-6:])
    if shift_s is None:
        return parse_time(value)
    at_ns = parse_time(text)
    return None if at_ns is None else at_ns - shift_s * 1_000_000_000


def _offset_s(text: str) -> int | None:
    """Return the seconds that ``+01:00`` stands for."""
    hours, minutes = text[1:3], text[4:6]
    if len(text) != 6 or text[0] not in "+-" or text[3] != ":" or not (hours + minutes).isdecimal():
        return None
    seconds = int(hours) * 3600 + int(minutes) * 60
    return -seconds if text[0] == "-" else seconds
