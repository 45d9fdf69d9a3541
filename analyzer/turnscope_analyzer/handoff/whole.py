"""The records of a rollout, each as a whole: of one that is too long to be held, the long strings are shortened.

A prompt with a pasted picture is one line of megabytes, and what the user wrote stands in it.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final, cast

from turnscope_analyzer.rescue.lines import Part
from turnscope_analyzer.rescue.strings import LineEnd, LongStrings
from turnscope_analyzer.sources.codex.records import iter_records
from turnscope_analyzer.sources.lines import CAP_BYTES
from turnscope_analyzer.sources.objects import parse_object

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from turnscope_analyzer.rescue.strings import LongString
    from turnscope_analyzer.sources.codex.records import Record
    from turnscope_analyzer.sources.rejects import Rejects
    from turnscope_analyzer.sources.timeline import Timeline

HEAD_BYTES: Final = 8 << 10
TAIL_BYTES: Final = 4 << 10
"""So much of a string that is longer than both is kept at its ends."""

_HELD_BYTES: Final = 8 << 20
"""A record that is longer even when its strings are shortened stays skimmed."""

_URL = re.compile(rb"data:[\w.+-]{1,64}/[\w.+-]{1,64}[;,]")
_LINE_BREAK = re.compile(rb"(?<!\\)\\n")


def whole_records(path: Path, rejects: Rejects, timeline: Timeline) -> Iterator[Record]:
    """Read the records of *path*, a file that is not packed, as `iter_records` does, and the long ones shortened.

    Raises:
        OSError: The file cannot be opened or read.
    """
    with path.open("rb", buffering=0) as file:
        for record in iter_records(path, rejects, timeline):
            payload = _payload(file, record) if record.length > CAP_BYTES else None
            yield record if payload is None else record._replace(payload=payload)


def _payload(file: BinaryIO, record: Record) -> dict[str, object] | None:
    text = shortened(file, record.offset, record.length)
    content = parse_object(text)
    payload = content.get("payload") if content is not None else None
    return payload if isinstance(payload, dict) else None


def shortened(file: BinaryIO, start: int, size_bytes: int) -> bytes | None:
    """Return a line with its long strings shortened, None where it is no sound JSON or still too long.

    Args:
        file: Open for reading, unbuffered.
        start: Where the line begins.
        size_bytes: Its length without the line break.
    """
    pieces = bytearray()
    at = 0
    for told in LongStrings(cast("BinaryIO", Part(file, start, size_bytes)), glance_bytes=0):
        if isinstance(told, LineEnd):
            if not told.is_whole or told.end != size_bytes:
                return None
            break
        if told.end - told.start <= HEAD_BYTES + TAIL_BYTES:
            continue
        if len(pieces) + told.start - at > _HELD_BYTES:
            return None
        pieces += os.pread(file.fileno(), told.start - at, start + at) + _ends(file.fileno(), start, told)
        at = told.end
    if len(pieces) + size_bytes - at > _HELD_BYTES:
        return None
    return bytes(pieces + os.pread(file.fileno(), size_bytes - at, start + at))


def _ends(descriptor: int, base: int, string: LongString) -> bytes:
    """Return what is kept of a string, in such a way that it is one still: no escape and no letter is cut in two."""
    head = os.pread(descriptor, HEAD_BYTES, base + string.start)
    length = string.end - string.start
    if url := _URL.match(head):
        return url[0] + b" %d bytes" % length
    # A blank is never part of an escape. The end begins with a line, so that it is known what a word in it is.
    head = head[: head.rfind(b" ") + 1]
    tail = os.pread(descriptor, TAIL_BYTES, base + string.end - TAIL_BYTES)
    line = _LINE_BREAK.search(tail, 1)
    tail = tail[line.start() :] if line is not None else b""
    left_out = b"[%d bytes left out]" % (length - len(head) - len(tail))
    return head + left_out + tail
