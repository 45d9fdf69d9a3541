"""One turn while the gateway works on it: its message, what its clients get to see, and how to reach it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import turnscope
    from examples.gateway.messages import Bug, Message


class EventLog:
    """What the clients of a turn get, numbered from 1: a client says up to where it has seen it."""

    def __init__(self) -> None:
        self._events: list[str] = []
        self._changed = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._events)

    def add(self, kind: str, **data: Any) -> None:
        """Add an event and wake whoever follows."""
        self._events.append(json.dumps({"type": kind, **data}))
        self._wake()

    def close(self) -> None:
        """Say that no more will come."""
        self._closed = True
        self._wake()

    async def after(self, cursor: int) -> AsyncIterator[tuple[int, str]]:
        """Yield each event after *cursor* with its number, until the log is closed."""
        while True:
            changed = self._changed
            while cursor < len(self._events):
                cursor += 1
                yield cursor, self._events[cursor - 1]
            if self._closed:
                return
            await changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


@dataclass
class Run:
    """A turn on its way through the gateway."""

    turn: turnscope.Turn
    message: Message
    events: EventLog = field(default_factory=EventLog)
    task: asyncio.Task[None] | None = None
    tool_pids: set[int] = field(default_factory=set)
    outcome: str | None = None
    _decisions: dict[str, asyncio.Future[bool]] = field(default_factory=dict)

    def has(self, bug: Bug) -> bool:
        """Tell whether the message switched *bug* on."""
        return self.message.inject.bug is bug

    def emit(self, kind: str, **data: Any) -> None:
        """Send an event to the clients."""
        self.events.add(kind, **data)
        self.turn.emitted(len(self.events))

    def end(self, outcome: str, **data: Any) -> None:
        """Send the last event; from here on the turn is over for its clients."""
        self.outcome = outcome
        self.emit(outcome, **data)
        self.events.close()

    async def decision(self, call_id: str) -> bool:
        """Wait for a person to allow or deny a tool call."""
        future = self._decisions.setdefault(call_id, asyncio.get_running_loop().create_future())
        self.emit("approval_wanted", call_id=call_id)
        return await future

    def decide(self, call_id: str, *, allow: bool) -> bool:
        """Pass on a person's decision; False when nobody waits for it."""
        future = self._decisions.pop(call_id, None)
        if future is None or future.done():
            return False
        future.set_result(allow)
        return True
