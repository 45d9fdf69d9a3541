"""One turn from its message to its last event: the model, its tools, the model again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import turnscope
from examples.gateway import plugins
from examples.gateway.history import message
from examples.gateway.messages import Bug
from examples.gateway.tools import use_tool

if TYPE_CHECKING:
    from examples.gateway.history import History, Item
    from examples.gateway.model import ModelClient, Reply
    from examples.gateway.runs import Run

_SUMMARISE = "Summarise the conversation so far, so that it can go on from your summary alone."
_DYING_DISK_PAUSE_S = 1.0


class Conversation:
    """A session's talk with the model; one turn of it at a time.

    Args:
        context_bytes: A history that is longer than this is compacted before the model is asked.
    """

    def __init__(self, history: History, model: ModelClient, *, context_bytes: int) -> None:
        self._history, self._model, self._context_bytes = history, model, context_bytes

    async def run(self, run: Run) -> None:
        """Bring *run* to its end; its clients get the outcome before this returns or raises."""
        with run.turn:
            try:
                await self._converse(run)
                run.end("completed")
            except asyncio.CancelledError:
                run.end("stopped")
                raise
            except Exception as error:
                run.end("failed", reason=str(error))
                raise

    async def _converse(self, run: Run) -> None:
        await self._history.load(batch_pause_s=_DYING_DISK_PAUSE_S if run.has(Bug.SLOW_HISTORY) else 0)
        if run.message.inject.plugin:
            await plugins.connect(run.message.inject.plugin)
        _, own = self._history.split(run.turn.id)
        if not own:  # a turn that is resumed has its message there already
            self._history.append(run.turn.id, message("user", run.message.text))
        reply = await self._ask(run)
        while reply.calls:
            outputs = await asyncio.gather(*(use_tool(run, call) for call in reply.calls))
            for call, output in zip(reply.calls, outputs, strict=True):
                item = {"type": "function_call_output", "call_id": call.call_id, "output": output}
                self._history.append(run.turn.id, item)
            if run.has(Bug.LOSE_CONTINUATION):
                await asyncio.get_running_loop().create_future()
            reply = await self._ask(run)

    async def _ask(self, run: Run) -> Reply:
        earlier, _ = self._history.split(run.turn.id)
        if earlier and self._history.bytes > self._context_bytes:
            await self._compact(run, earlier)
        reply = await self._model.ask(run, self._history.items)
        for item in reply.items:
            self._history.append(run.turn.id, item)
        return reply

    async def _compact(self, run: Run, earlier: list[Item]) -> None:
        """Let a summary stand for the *earlier* turns."""
        run.emit("compacting")
        with turnscope.compaction(trigger="context_bytes", bytes=self._history.bytes) as compaction:
            reply = await self._model.ask(run, [*earlier, message("user", _SUMMARISE)], purpose="compaction")
            self._history.compact(run.turn.id, message("user", reply.text))
            compaction.done(bytes=self._history.bytes)
