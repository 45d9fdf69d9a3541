"""The size of one thread's file: its bytes by kind of record, its longest line, its images, and its context's growth.

One pass, and one more for the images, in bounded memory: a thread may have hundreds of megabytes, in one line.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope_analyzer.context.growth import Growth
from turnscope_analyzer.context.images import images_in
from turnscope_analyzer.context.parts import is_injected
from turnscope_analyzer.sources.codex.records import is_rollout, iter_records
from turnscope_analyzer.sources.codex.thread import turn_id_of
from turnscope_analyzer.sources.codex.tokens import Meter
from turnscope_analyzer.sources.objects import lines_of, word
from turnscope_analyzer.sources.opened import head_of
from turnscope_analyzer.sources.rejects import Rejects
from turnscope_analyzer.sources.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from turnscope_analyzer.context.images import Image
    from turnscope_analyzer.model import Reject
    from turnscope_analyzer.sources.codex.records import Record

COMPACTED: Final = "compacted histories"

_KINDS: Final = (
    ("compacted", COMPACTED),
    ("response_item/function_call_output", "tool outputs"),
    ("response_item/custom_tool_call_output", "tool outputs"),
    ("response_item/local_shell_call_output", "tool outputs"),
    ("response_item/function_call", "tool calls"),
    ("response_item/custom_tool_call", "tool calls"),
    ("response_item/message/user", "user's messages"),
    ("response_item/message/assistant", "answers"),
    ("response_item/reasoning", "reasoning"),
    ("response_item/message", "instructions"),
    ("session_meta", "instructions"),
    ("event_msg", "events"),
    ("bare/message", "messages"),
)
"""The begin of a record's name -> what a person calls such records; the first that fits counts."""

_PARTS: Final = ("response_item/", "event_msg/item_completed")
"""Records that are a part of the turn that they name."""

_MOST_LATE: Final = 20
_MOST_PRINTS: Final = 100_000
"""So many different images are told apart; what comes after counts as different."""


@dataclass(slots=True)
class Share:
    """What one kind of record takes of a thread, and how much of that is images."""

    records: int = 0
    bytes: int = 0
    image_bytes: int = 0


class Longest(NamedTuple):
    """The longest record: where it stands, its bytes and its kind."""

    offset: int
    length: int
    kind: str


@dataclass(slots=True)
class Images:
    """Images in a thread: how many, how many different ones, their bytes.

    ``live`` are those since the last compaction and in what that has kept: they go into every request.
    """

    count: int = 0
    different: int = 0
    bytes: int = 0
    live: int = 0
    live_bytes: int = 0


@dataclass(slots=True)
class ThreadSize:
    """What makes a thread large. ``bytes`` are those on disk, all others those that the file holds unpacked.

    ``late`` are the first records of a turn that stand behind the one that says it is complete: offset and turn.
    """

    path: Path
    thread_id: str | None = None
    bytes: int = 0
    records: int = 0
    kinds: dict[str, Share] = field(default_factory=dict)
    longest: Longest | None = None
    images: Images = field(default_factory=Images)
    growth: Growth = field(default_factory=Growth)
    late: list[tuple[int, str]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)


def measure(
    path: Path,
    progress: Callable[[int], None] = lambda _bytes: None,
    hear: Callable[[ThreadSize, Record, Images], None] | None = None,
) -> ThreadSize:
    """Measure a thread: a Codex rollout record by record, any other JSONL line by line.

    Args:
        path: The file, plain or packed.
        progress: Called now and then with the bytes that were read since the last call.
        hear: Called with each record of a rollout when it has been counted, and with the images in it.

    Raises:
        OSError: The file cannot be opened. Bad content never raises, it is listed in ``rejects``.
    """
    size = ThreadSize(path, bytes=path.stat().st_size)
    rejects = Rejects(str(path))
    counter = _Counter(size, images_in(path))
    if is_rollout(head_of(path)):
        course = Course(size)
        for record in iter_records(path, rejects, Timeline(), progress):
            course.feed(record)
            images = counter.count(record.offset, record.length, _kind(record.name))
            if hear is not None:
                hear(size, record, images)
    else:
        for line in lines_of(path, rejects, progress=progress):
            counter.count(line.offset, line.length, "lines")
    counter.rest()
    size.rejects = rejects.all()
    return size


def _kind(name: str) -> str:
    return next((kind for begin, kind in _KINDS if name.startswith(begin)), "other records")


class Course:
    """The turns of a rollout as far as its size goes: tokens, compactions, and what comes after an end.

    It counts into the `ThreadSize` that it is given, and is fed with the records in file order.
    """

    def __init__(self, size: ThreadSize) -> None:
        self._size = size
        self._meter = Meter()
        self._completed: str | None = None
        self._tracked = False

    def feed(self, record: Record) -> None:
        """Take the next record in."""
        growth = self._size.growth
        turn_id = turn_id_of(record.payload)
        match record.name:
            case "session_meta":
                self._size.thread_id = self._size.thread_id or word(record.payload, "id")
            case "event_msg/task_started":
                self._tracked = True
                self._completed = None
                growth.turn()
            case "event_msg/user_message" if not self._tracked:
                growth.turn()
            case "bare/message/user" if not is_injected(record.payload):
                growth.turn()
            case "event_msg/token_count":
                self._count(record)
            case "compacted":
                growth.compacted(record.offset)
            case "event_msg/task_complete":
                # Not an aborted one: what its tool came to is written when the tool is gone, after the turn.
                self._completed = turn_id
            case name if turn_id is not None and turn_id == self._completed and name.startswith(_PARTS):
                if len(self._size.late) < _MOST_LATE:
                    self._size.late.append((record.offset, turn_id))
            case _:
                pass

    def _count(self, record: Record) -> None:
        reading = self._meter.read(record.payload)
        if self._meter.tokens is None:
            return
        if reading == "grown":
            self._size.growth.response(self._meter.tokens, self._meter.window)
        elif reading == "estimate":
            self._size.growth.left(self._meter.tokens, self._meter.window)


class _Counter:
    """The bytes by kind, with the images of each record; both come in the order of the file."""

    def __init__(self, size: ThreadSize, images: Iterator[Image]) -> None:
        self._size = size
        self._images = images
        self._next = next(images, None)
        self._prints: set[bytes] = set()

    def count(self, offset: int, length: int, kind: str) -> Images:
        """Count a record and return the images in it."""
        size, images = self._size, self._size.images
        share = size.kinds.setdefault(kind, Share())
        share.records += 1
        share.bytes += length
        size.records += 1
        if size.longest is None or length > size.longest.length:
            size.longest = Longest(offset, length, kind)
        if kind == COMPACTED:
            # The history starts anew with this record.
            images.live = images.live_bytes = 0
        before = replace(images)
        while self._next is not None and self._next.offset < offset + length:
            share.image_bytes += self._take(self._next)
        return Images(images.count - before.count, images.different - before.different, images.bytes - before.bytes)

    def rest(self) -> None:
        """Count the images behind the last record that can be read."""
        while self._next is not None:
            self._take(self._next)

    def _take(self, image: Image) -> int:
        images = self._size.images
        images.count += 1
        images.bytes += image.length
        images.live += 1
        images.live_bytes += image.length
        if image.print not in self._prints:
            images.different += 1
            if len(self._prints) < _MOST_PRINTS:
                self._prints.add(image.print)
        self._next = next(self._images, None)
        return image.length
