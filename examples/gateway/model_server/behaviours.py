"""The ways in which the model answers, or does not: one function each, listed in ``BEHAVIOURS``.

A behaviour that hangs holds its socket open until the client closes it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from examples.gateway.model_server.events import KEEPALIVE, Response, frame
from examples.gateway.model_server.plan import tool_uses

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from examples.gateway.model_server.wire import Answer

_WORDS = ["All", "of", "this", "was", "answered", "by", "a", "model", "that", "does", "as", "told"]


@dataclass(frozen=True)
class Task:
    """What one request asks for, and where its answer goes."""

    answer: Answer
    response: Response
    argument: str
    input_tokens: int

    async def send(self, *events: dict[str, object]) -> None:
        """Send *events*, each as a chunk of its own."""
        for event in events:
            await self.answer.chunk(frame(event))

    async def begin(self) -> None:
        """Send the headers and the first event."""
        await self.answer.stream_head()
        await self.send(self.response.created())

    async def begin_text(self) -> None:
        """Send everything up to the middle of the text."""
        await self.begin()
        await self.send(self.response.message_added(), *self.response.text(_WORDS[: len(_WORDS) // 2]))

    async def end(self) -> None:
        """Send the last event and the end of the stream."""
        await self.send(self.response.completed(self.input_tokens))
        await self.answer.last_chunk()


async def _text(task: Task) -> None:
    """Answer; the argument is the seconds that the words take together."""
    pause_s = float(task.argument or 0) / len(_WORDS)
    await task.begin()
    await task.send(task.response.message_added())
    for delta in task.response.text(_WORDS):
        await task.send(delta)
        await asyncio.sleep(pause_s)
    await task.send(task.response.message_done(_WORDS))
    await task.end()


async def _call(task: Task) -> None:
    """Call tools; the argument names them."""
    await task.begin()
    await task.send(*task.response.calls(tool_uses(task.argument)))
    await task.end()


async def _black_hole(task: Task) -> None:
    """Take the request and never answer."""
    await task.answer.hang()


async def _headers(task: Task) -> None:
    """Send headers and then nothing."""
    await task.answer.stream_head()
    await task.answer.hang()


async def _first_event(task: Task) -> None:
    """Send the first event and then nothing."""
    await task.begin()
    await task.answer.hang()


async def _mid_text(task: Task) -> None:
    """Stop in the middle of the text."""
    await task.begin_text()
    await task.answer.hang()


async def _keepalives(task: Task) -> None:
    """Send headers and then comments only."""
    await task.answer.stream_head()
    hanging = asyncio.ensure_future(task.answer.hang())
    while not hanging.done():
        await task.answer.chunk(KEEPALIVE)
        await asyncio.wait({hanging}, timeout=0.25)
    await hanging


async def _reset(task: Task) -> None:
    """Drop the connection before any answer."""
    task.answer.reset()


async def _cut(task: Task) -> None:
    """Close the connection in the middle of the text, without the end of the stream."""
    await task.begin_text()


async def _unfinished(task: Task) -> None:
    """End the stream in good order, but before its last event."""
    await task.begin_text()
    await task.answer.last_chunk()


async def _status(task: Task) -> None:
    """Answer with an error; the argument is its status."""
    status = int(task.argument)
    await task.answer.json(status, _error("server_error" if status >= 500 else "invalid_request_error", "as told"))


async def _limit(task: Task) -> None:
    """Answer 429; the argument is the seconds until the limit resets."""
    reset_s = int(task.argument)
    body = _error("usage_limit_reached", "The usage limit has been reached")
    body["error"] |= {"resets_in_seconds": reset_s, "resets_at": int(time.time()) + reset_s}
    await task.answer.json(429, body, {"retry-after": str(reset_s)})


async def _unauthorized(task: Task) -> None:
    """Answer 401."""
    await task.answer.json(401, _error("invalid_api_key", "Incorrect API key provided"))


_TOO_LONG = "Your input exceeds the context window of this model. Please adjust your input and try again."


async def _too_long(task: Task) -> None:
    """Answer that the context is longer than the window."""
    await task.answer.json(400, _error("context_length_exceeded", _TOO_LONG))


async def _too_long_in_stream(task: Task) -> None:
    """Say in the stream that the context is longer than the window."""
    await task.begin()
    await task.send(task.response.failed("context_length_exceeded", _TOO_LONG))
    await task.answer.last_chunk()


def _error(code: str, message: str) -> dict[str, dict[str, object]]:
    return {"error": {"message": message, "type": code, "param": None, "code": code}}


BEHAVIOURS: Final[Mapping[str, Callable[[Task], Awaitable[None]]]] = {
    "text": _text,
    "call": _call,
    "black_hole": _black_hole,
    "headers": _headers,
    "first_event": _first_event,
    "mid_text": _mid_text,
    "keepalives": _keepalives,
    "reset": _reset,
    "cut": _cut,
    "unfinished": _unfinished,
    "status": _status,
    "limit": _limit,
    "unauthorized": _unauthorized,
    "too_long": _too_long,
    "too_long_in_stream": _too_long_in_stream,
}
"""Every step that a plan may name."""
