"""The records of a Claude Code transcript, each with its place and time; what cannot be read is put aside and counted.

A record says itself whose it is: ``sessionId``, ``agentId`` of a sub-agent, ``uuid`` and ``parentUuid`` of the tree
that a conversation is. Many kinds (titles, snapshots, modes) have no time and are about no turn.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from turnscope_analyzer.sources.objects import BLANK, lines_of, objects_in, part, word
from turnscope_analyzer.sources.timeline import Timeline, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from turnscope_analyzer.sources.lines import Line
    from turnscope_analyzer.sources.objects import Found
    from turnscope_analyzer.sources.rejects import Rejects

CAP_BYTES: Final = 4 << 20
"""A longer record is only skimmed. The time stands behind a tool's output: cutting sooner would lose it."""

_RECORD_STARTS = re.compile(rb'\{"parentUuid":|\{"type":"(?:summary|queue-operation|file-history-snapshot)",')
_TRANSCRIPT = re.compile(rb'"isSidechain"\s*:\s*(?:true|false)\s*[,}]')
_WITHOUT_TURN = re.compile(
    rb'\{\s*"type"\s*:\s*"(?:summary"\s*,\s*"summary|file-history-snapshot"\s*,\s*"messageId'
    rb'|queue-operation"\s*,\s*"operation|permission-mode"\s*,\s*"permissionMode)"\s*:'
)
_WORD = re.compile(rb'"(type|role|uuid|parentUuid|sessionId|agentId|timestamp|id)"\s*:\s*"([^"\\]{1,128})"')
_SIDECHAIN = re.compile(rb'"isSidechain"\s*:\s*true')
_RESULT = re.compile(rb'"tool_use_id"\s*:\s*"([^"\\]{1,128})"')
_SKIM_BYTES = 4_096


class Record(NamedTuple):
    """One record: where it stands, when it was written, and all that it says.

    ``wall_ns`` is the time on the record; ``at_ns`` goes on when the wall clock was set back. ``kind`` is its type:
    ``user``, ``assistant``, ``system`` and many that are about no turn.
    """

    offset: int
    length: int
    at_ns: int
    wall_ns: int
    kind: str
    content: Mapping[str, Any]

    @property
    def message(self) -> Mapping[str, Any]:
        """The message of a user's or an assistant's record, empty where there is none."""
        return part(self.content, "message")

    def blocks(self) -> list[Mapping[str, Any]]:
        """Return the parts of its message; a bare string is one text."""
        content = self.message.get("content")
        if isinstance(content, str):
            return [{"type": "text", "text": content}]
        return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []

    def says(self, name: str) -> str | None:
        """Return the word at *name*, None where there is none."""
        return word(self.content, name)


def is_transcript(head: bytes) -> bool:
    """Tell from the first bytes of a file whether it is a transcript, also one that begins with garbage."""
    return _TRANSCRIPT.search(head) is not None or _WITHOUT_TURN.match(head.lstrip(BLANK)) is not None


def iter_records(
    path: Path, rejects: Rejects, timeline: Timeline, progress: Callable[[int], None] = lambda _bytes: None
) -> Iterator[Record]:
    """Read the records of *path* in file order; put what is none into *rejects*.

    Raises:
        OSError: The file cannot be opened.
    """
    for line in lines_of(path, rejects, CAP_BYTES, progress):
        for offset, length, content in (
            objects_in(line, _RECORD_STARTS, rejects) if line.whole else _long(line, rejects)
        ):
            kind = content.get("type")
            if not isinstance(kind, str):
                rejects.add(offset, "JSON, but no transcript record")
                continue
            wall_ns = parse_time(content.get("timestamp"))
            if wall_ns is None:
                if kind in ("user", "assistant", "system") and timeline.wall_ns is None:
                    rejects.add(offset, "no time on the record, nor on one before it")
                    continue
                wall_ns = timeline.wall_ns
            if wall_ns is not None:
                yield Record(offset, length, timeline.place(wall_ns), wall_ns, kind, content)


def _long(line: Line, rejects: Rejects) -> Iterator[Found]:
    """Skim a line that is not held whole: what its two ends say, in the shape that a whole record has."""
    ends = (line.head[:_SKIM_BYTES], line.tail)
    if not line.head.lstrip(BLANK).startswith(b"{"):
        rejects.add(line.offset, f"no record in {line.length} bytes")
    elif not line.tail.rstrip(BLANK).endswith(b"}"):
        rejects.add(line.offset, f"cut off after {line.length} bytes")
    else:
        content: dict[str, Any] = {"isSidechain": any(_SIDECHAIN.search(end) for end in ends)}
        for name, value in (match.groups() for end in ends for match in _WORD.finditer(end)):
            # The first "type" is the record's: its message has none before its role.
            content.setdefault(name.decode(), value.decode("utf-8", "replace"))
        result = _RESULT.search(ends[0])
        if result is not None:
            block = {"type": "tool_result", "tool_use_id": result[1].decode("utf-8", "replace")}
            content["message"] = {"role": "user", "content": [block]}
            content["type"] = "user"
        elif content.get("role") in ("user", "assistant"):
            content["type"] = content["role"]
        yield line.offset, line.length, content
