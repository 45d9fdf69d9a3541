"""The records of a Codex rollout, each with its place and time; what cannot be read is put aside and counted.

A payload is handed over as it stands on file so that its kind and sizes can be told. A long record is only
skimmed at its two ends: one line can hold hundreds of megabytes of images.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from turnscope_analyzer.sources.objects import BLANK, lines_of, objects_in, parse_object
from turnscope_analyzer.sources.timeline import Timeline, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from turnscope_analyzer.sources.lines import Line
    from turnscope_analyzer.sources.objects import Found
    from turnscope_analyzer.sources.rejects import Rejects

_RECORD_START = b'{"timestamp":"'
_RECORD_STARTS = re.compile(re.escape(_RECORD_START))
_SKIM_BYTES = 512
_ENVELOPE = re.compile(
    rb'[\s\0]*\{(?:"timestamp"\s*:\s*"([^"]{1,64})"\s*,\s*)?(?:"ordinal"\s*:\s*\d+\s*,\s*)?'
    rb'"type"\s*:\s*"(\w+)"\s*,\s*"payload"\s*:\s*\{(?:\s*"type"\s*:\s*"(\w+)")?'
)
_FIELD = re.compile(rb'"(call_id|name|role|turn_id)"\s*:\s*"([^"\\]{1,256})"')
_ITEM = re.compile(rb'"item"\s*:\s*\{\s*"type"\s*:\s*"(\w+)"')
_ID = re.compile(rb'"id"\s*:\s*"([^"\\]{1,256})"')
_MESSAGE = re.compile(rb'"last_agent_message"\s*:\s*"')
_ERROR = re.compile(rb'"error"\s*:\s*\{')

_ROLLOUT = re.compile(
    rb'"type"\s*:\s*"(?:session_meta|response_item|event_msg|turn_context|compacted)"\s*,\s*"payload"\s*:\s*\{'
)
_OLD_HEADER = re.compile(
    rb'\s*\{\s*"id"\s*:\s*"[^"]+"\s*,\s*"timestamp"\s*:\s*"[^"]+"\s*,\s*"(?:instructions|git)"\s*:'
)
_BARE_ITEMS = frozenset({"function_call", "function_call_output", "local_shell_call", "reasoning"})


class Record(NamedTuple):
    """One record: where it stands, when it was written, and what it is.

    ``wall_ns`` is the time on the record, or on the one before where it has none; ``at_ns`` goes on when the
    wall clock was set back. ``name`` is the record's type, the payload's and the item's or the role, as far as
    it has them: ``compacted``, ``event_msg/item_completed/UserMessage``, ``response_item/message/assistant``.
    """

    offset: int
    length: int
    at_ns: int
    wall_ns: int
    name: str
    payload: Mapping[str, Any]


def is_rollout(head: bytes) -> bool:
    """Tell from the first few KiB of a file whether it is a rollout, also one that begins with garbage."""
    return _OLD_HEADER.match(head) is not None or _ROLLOUT.search(head) is not None


def iter_records(
    path: Path, rejects: Rejects, timeline: Timeline, progress: Callable[[int], None] = lambda _bytes: None
) -> Iterator[Record]:
    """Read the records of *path* in file order; put what is none into *rejects*, and a rest that cannot be unpacked.

    Raises:
        OSError: The file cannot be opened.
    """
    for line in lines_of(path, rejects, progress=progress):
        for offset, length, content in (
            objects_in(line, _RECORD_STARTS, rejects) if line.whole else _long(line, rejects)
        ):
            envelope = _envelope(content)
            if envelope is None:
                rejects.add(offset, "JSON, but no rollout record")
                continue
            name, payload = envelope
            wall_ns = parse_time(content.get("timestamp")) or timeline.wall_ns or parse_time(payload.get("timestamp"))
            if wall_ns is None:
                rejects.add(offset, "no time on the record, nor on one before it")
                continue
            yield Record(offset, length, timeline.place(wall_ns), wall_ns, name, payload)


def _long(line: Line, rejects: Rejects) -> Iterator[Found]:
    """Skim a line that is not held whole: its envelope, the fields at its two ends, a record glued onto it."""
    envelope = _ENVELOPE.match(line.head)
    glued_at = line.tail.rfind(_RECORD_START)
    glued = parse_object(line.tail[glued_at:].strip(BLANK)) if glued_at >= 0 else None
    if glued is not None and "payload" in glued:
        length = len(line.tail) - glued_at
        rejects.add(line.offset, f"torn after {line.length - length} bytes; the next record was glued onto it")
        yield line.offset + line.length - length, length, glued
    elif envelope is None:
        rejects.add(line.offset, f"no record in {line.length} bytes")
    elif not line.tail.rstrip(BLANK).endswith(b"}"):
        rejects.add(line.offset, f"cut off after {line.length} bytes")
    else:
        yield line.offset, line.length, _skim(line, envelope)


def _skim(line: Line, envelope: re.Match[bytes]) -> Mapping[str, Any]:
    """Return the record as far as its two ends tell, in the shape that a whole one has."""
    stamp, kind, payload_kind = (part.decode("ascii", "replace") if part else None for part in envelope.groups())
    payload: dict[str, Any] = {}
    # A compacted record's first field is the thread's history: nothing in it is about the record itself.
    if payload_kind is not None:
        payload["type"] = payload_kind
        # An unescaped quote cannot stand inside a JSON string, so these are keys and no text that quotes one.
        ends = (line.head[envelope.start(3) : envelope.start(3) + _SKIM_BYTES], line.tail[-_SKIM_BYTES:])
        for name, value in (match.groups() for end in ends for match in _FIELD.finditer(end)):
            payload.setdefault(name.decode(), value.decode("utf-8", "replace"))
        if item := _ITEM.search(ends[0]):
            payload["item"] = {"type": item[1].decode()}
        if _MESSAGE.search(ends[0]):
            payload["last_agent_message"] = ""
        if payload_kind == "task_complete" and _ERROR.search(ends[1]):
            payload["error"] = {}
    elif kind == "session_meta" and (own_id := _ID.search(line.head[: envelope.end() + _SKIM_BYTES])):
        payload["id"] = own_id[1].decode("utf-8", "replace")
    return {"timestamp": stamp, "type": kind, "payload": payload}


def _envelope(content: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """Return a record's name and payload; the first rollouts had neither envelope nor ``session_meta``."""
    kind, payload = content.get("type"), content.get("payload")
    if isinstance(kind, str) and isinstance(payload, dict):
        return _name(kind, payload), payload
    if kind == "message":
        return _name("bare", content), content
    if isinstance(kind, str) and kind in _BARE_ITEMS:
        return _name("response_item", content), content
    if "record_type" in content:
        return "state", content
    if "instructions" in content and isinstance(content.get("id"), str):
        return "session_meta", content
    return None


def _name(kind: str, payload: Mapping[str, Any]) -> str:
    inner = payload.get("type")
    if inner == "message":
        return f"{kind}/message/{payload.get('role')}"
    if inner == "item_completed":
        item = payload.get("item")
        return f"{kind}/item_completed/{item.get('type') if isinstance(item, dict) else None}"
    return f"{kind}/{inner}" if isinstance(inner, str) else kind
