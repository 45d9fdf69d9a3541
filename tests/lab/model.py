"""The model behind the lab's Codex: the example's server, one for each run, all on one thread."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from examples.gateway.model_server.behaviours import BEHAVIOURS
from examples.gateway.model_server.server import ModelServer

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType
    from typing import Any

    from typing_extensions import Self

    from examples.gateway.model_server.behaviours import Task
    from examples.gateway.model_server.wire import Answer, Request

FULL_TOKENS: Final = 90_000
"""What a request has cost that leaves no room for the next one, in the lab's window."""

SMALL_TOKENS: Final = 1_000
"""What a request has cost that is far from any limit: pictures cost a model less than their bytes."""

_LIMIT_S: Final = 10


class Asked(NamedTuple):
    """A request for a response, as it says itself what it is for; ``turn_id`` is empty where it does not say."""

    at_ns: int
    turn_id: str
    purpose: str


class Model(ModelServer):
    """A model server that knows Codex's own headers.

    Attributes:
        asked: The requests for a response, in the order in which they came.
        inputs: What each of them brought.
        url: Where it listens, once it is open.
    """

    def __init__(self, plan: str) -> None:
        super().__init__(plan, {**BEHAVIOURS, "held": self._held, "full": _full, "fits": _fits})
        self.asked: list[Asked] = []
        self.inputs: list[list[dict[str, Any]]] = []
        self.url = ""
        self._released = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self.connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def shut(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def let_go(self) -> None:
        """Let the answers that are ``held`` go on to their end."""
        self._released.set()

    async def serve(self, request: Request, answer: Answer) -> None:
        """Answer, and remember what the request was for."""
        if request.method == "POST" and request.path == "/v1/responses":
            said = json.loads(request.headers.get("x-codex-turn-metadata", "{}"))
            self.inputs.append(request.json().get("input", []))
            self.asked.append(Asked(time.time_ns(), said.get("turn_id", ""), said.get("request_kind", "")))
        await super().serve(request, answer)

    async def _held(self, task: Task) -> None:
        """Stop in the middle of the text until told to go on."""
        words = ["Held", "back,", "then", "let", "go."]
        await task.begin()
        await task.send(task.response.message_added(), *task.response.text(words[:2]))
        await self._released.wait()
        await task.send(*task.response.text(words[2:]), task.response.message_done(words))
        await task.end()


async def _full(task: Task) -> None:
    """Call tools as ``call`` does, and claim that the window is nearly full."""
    await BEHAVIOURS["call"](replace(task, input_tokens=FULL_TOKENS))


async def _fits(task: Task) -> None:
    """Answer if the input has no more bytes than the argument says, and else 413, as a proxy before a model does."""
    fits = task.input_tokens * 4 <= int(task.argument)
    task = replace(task, argument="" if fits else "413", input_tokens=SMALL_TOKENS)
    await BEHAVIOURS["text" if fits else "status"](task)


class Models:
    """The thread that all models of the lab run on."""

    def __init__(self) -> None:
        self._open: list[Model] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="models", daemon=True)

    def start(self, plan: str) -> Model:
        """Open a model that answers after *plan*, request by request."""
        model = Model(plan)
        self._open.append(model)
        self.run(model.open())
        return model

    def run(self, what: Coroutine[Any, Any, None]) -> None:
        """Do *what* on the models' thread."""
        asyncio.run_coroutine_threadsafe(what, self._loop).result(_LIMIT_S)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self._leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_LIMIT_S)
        self._loop.close()

    async def _leave(self) -> None:
        """Listen no more, and wait for the answers: all of them end when their client is gone."""
        for model in self._open:
            await model.shut()
            await model.let_go()
        answers = asyncio.all_tasks() - {asyncio.current_task()}
        if answers:
            await asyncio.wait(answers, timeout=_LIMIT_S / 2)
