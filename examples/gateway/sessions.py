"""Sessions: each has a queue and one worker, so that its turns run in the order of their messages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

import turnscope
from examples.gateway.conversation import Conversation
from examples.gateway.history import History
from examples.gateway.messages import Bug
from examples.gateway.runs import Run

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from examples.gateway.messages import Message
    from examples.gateway.model import ModelClient
    from examples.gateway.settings import Settings

log: Final = logging.getLogger(__name__)


class Session:
    """The turns of one conversation, one after the other."""

    def __init__(self, name: str, settings: Settings, model: ModelClient) -> None:
        self.name = name
        self.runs: dict[str, Run] = {}
        self._conversation = Conversation(
            History(settings.data / f"{name}.jsonl"), model, context_bytes=settings.context_bytes
        )
        self._queue: asyncio.Queue[Run] = asyncio.Queue()
        self._worker = asyncio.create_task(self._work(), name=f"session {name}")

    def accept(self, message: Message) -> Run:
        """Promise the client an answer to *message*."""
        run = Run(turnscope.accept(self.name, prompt=message.text), message)
        ahead = sum(before.outcome is None for before in self.runs.values())
        self.runs[run.turn.id] = run
        if not run.has(Bug.DROP_MESSAGE):
            run.turn.mark("queued", ahead=ahead)
            self._queue.put_nowait(run)
        return run

    def resume(self, turn_id: str, message: Message) -> Run:
        """Go on with a turn of a gateway that is gone, under the id that its client knows."""
        run = Run(turnscope.resume(turn_id, self.name), message)
        self.runs[turn_id] = run
        self._queue.put_nowait(run)
        return run

    async def close(self) -> None:
        """Stop working."""
        tasks = [self._worker, *(run.task for run in self.runs.values() if run.task)]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=1)

    async def _work(self) -> None:
        while True:
            run = await self._queue.get()
            if run.outcome is None:  # it may have been stopped in the queue
                turn = self._conversation.run(run)
                run.task = asyncio.create_task(_unstoppable(turn) if run.has(Bug.IGNORE_STOP) else turn)
                await asyncio.wait({run.task})
                self._report(run)
            if run.has(Bug.KEEP_LANE):
                await asyncio.get_running_loop().create_future()

    def _report(self, run: Run) -> None:
        if run.task is not None and not run.task.cancelled() and (error := run.task.exception()):
            log.warning("turn %s of session %s failed: %s", run.turn.id, self.name, error)


async def _unstoppable(turn: Coroutine[Any, Any, None]) -> None:
    """Do *turn* and wave every cancellation away, as a task does that catches too much."""
    task = asyncio.ensure_future(turn)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    await task
