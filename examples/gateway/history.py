"""A session's history: one JSON object a line, appended as the turn goes on, read once at first use."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import turnscope

if TYPE_CHECKING:
    from pathlib import Path

Item = dict[str, Any]
"""An input item of the Responses API."""

_BATCH = 1000
"""Records between two looks at the event loop, so that a huge history does not freeze the other sessions."""


class History:
    """The items of one session, in memory once loaded and always on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records: list[tuple[str, Item]] | None = None
        self.bytes = 0

    @property
    def items(self) -> list[Item]:
        """What the model is to know, oldest first."""
        return [item for _, item in self._loaded]

    async def load(self, *, batch_pause_s: float = 0) -> None:
        """Read the file at first use; later calls return at once."""
        if self._records is not None:
            return
        size = self._path.stat().st_size if self._path.exists() else 0
        with turnscope.hydration(bytes=size) as hydration:
            records: list[tuple[str, Item]] = []
            if size:
                with self._path.open(encoding="utf-8") as lines:
                    for number, line in enumerate(lines, 1):
                        records.append(_record(line))
                        if number % _BATCH == 0:
                            await asyncio.sleep(batch_pause_s)
            hydration.done(bytes=size, records=len(records))
        self._records, self.bytes = records, size

    def split(self, turn_id: str) -> tuple[list[Item], list[Item]]:
        """Return the items of earlier turns, and those of *turn_id*."""
        earlier = [item for turn, item in self._loaded if turn != turn_id]
        return earlier, [item for turn, item in self._loaded if turn == turn_id]

    def append(self, turn_id: str, item: Item) -> None:
        """Add *item* at the end."""
        line = _line(turn_id, item)
        with self._path.open("a", encoding="utf-8") as file:
            self.bytes += file.write(line)
        self._loaded.append((turn_id, item))

    def compact(self, turn_id: str, summary: Item) -> None:
        """Let *summary* stand for everything before *turn_id*."""
        _, own = self.split(turn_id)
        records = [("summary", summary), *((turn_id, item) for item in own)]
        text = "".join(_line(*record) for record in records)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self._path)
        self._records, self.bytes = records, len(text)

    @property
    def _loaded(self) -> list[tuple[str, Item]]:
        if self._records is None:
            raise RuntimeError(f"history {self._path} is used before it is loaded")
        return self._records


def message(role: str, text: str) -> Item:
    """Return a message as an item."""
    return {"type": "message", "role": role, "content": text}


def _line(turn_id: str, item: Item) -> str:
    return json.dumps({"turn": turn_id, "item": item}) + "\n"


def _record(line: str) -> tuple[str, Item]:
    record = json.loads(line)
    return record["turn"], record["item"]
