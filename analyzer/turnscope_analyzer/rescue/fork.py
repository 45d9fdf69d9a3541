"""A copy of a thread under an id of its own, beside the first one."""

from __future__ import annotations

import re
import secrets
import time
from array import array
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.sources.codex.ids import UUID

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK_BYTES: Final = 1 << 20
_NAME = re.compile(rf"rollout-.+?-{UUID}(.*)")


def new_id() -> str:
    """Return a UUID of version 7, as Codex gives its threads."""
    number = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    number = number & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def path_beside(path: Path, thread_id: str) -> Path:
    """Return where the rollout of a new thread goes: Codex finds it by its name."""
    told = _NAME.fullmatch(path.name)
    stamp = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H-%M-%S")
    return path.with_name(f"rollout-{stamp}-{thread_id}{told[1] if told else '.jsonl'}")


def places_of_id(path: Path, thread_id: str) -> array[int]:
    """Return where the records of *path* name their own thread: ``id``, ``session_id`` and ``thread_id``.

    A text that quotes such a record has backslashes before its quotes, and stays as it is.
    """
    own = re.compile(rb'"(?:session_|thread_)?id":"' + thread_id.encode() + rb'"')
    most = len('"session_id":""') + len(thread_id)
    places = array("Q")
    at = 0
    held = b""
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK_BYTES):
            text = held + block
            start = at - len(held)
            for found in own.finditer(text):
                places.append(start + found.end() - 1 - len(thread_id))
            at += len(block)
            # What may go on in the next block, but nothing that was found already.
            held = text[-(most - 1) :]
            done = places[-1] + len(thread_id) + 1 - (at - len(held)) if places else 0
            held = held[max(done, 0) :]
    return places
