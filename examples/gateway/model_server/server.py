"""The model server: takes requests, does what their plan says, and remembers what it did.

What it remembers is the other side's truth, to hold a verdict against: ``GET /seen``.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from examples.gateway.model_server.behaviours import BEHAVIOURS, Task
from examples.gateway.model_server.events import Response
from examples.gateway.model_server.plan import Ask, Step, steps
from examples.gateway.model_server.wire import Answer, Request, read_request

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Literal


@dataclass
class Seen:
    """One request, as this side saw it."""

    turn: str
    purpose: str
    step: str
    input_bytes: int
    outcome: Literal["answering", "done", "client_left"] = "answering"


class ModelServer:
    """Answers ``POST /v1/responses`` after the plan of each request.

    Args:
        default_plan: For requests that bring none, such as those of a real agent.
        behaviours: The steps that a plan may name.
    """

    def __init__(
        self, default_plan: str = "text", behaviours: Mapping[str, Callable[[Task], Awaitable[None]]] = BEHAVIOURS
    ) -> None:
        self._default_plan, self._behaviours = default_plan, behaviours
        self._asked: Counter[Ask] = Counter()
        self.seen: list[Seen] = []

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve the one request of a connection."""
        try:
            request = await read_request(reader)
            if request is not None:
                await self.serve(request, Answer(reader, writer))
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def serve(self, request: Request, answer: Answer) -> None:
        """Answer one request, whatever it asks for."""
        match request.method, request.path.partition("?")[0]:
            case "POST", "/v1/responses":
                await self._respond(request, answer)
            case "GET", "/v1/models":
                await answer.json(200, {"object": "list", "data": [{"id": "example-model", "object": "model"}]})
            case "GET", "/seen":
                await answer.json(200, [asdict(seen) for seen in self.seen])
            case _:
                await answer.json(404, {"error": {"message": f"no {request.method} {request.path} here"}})

    async def _respond(self, request: Request, answer: Answer) -> None:
        body = request.json()
        ask = Ask.of(body, self._default_plan)
        try:
            step = self._next_step(ask)
        except ValueError as error:
            await answer.json(400, {"error": {"message": str(error), "code": "unknown_plan"}})
            return
        seen = Seen(ask.turn, ask.purpose, step.name, len(json.dumps(body.get("input", ""))))
        self.seen.append(seen)
        task = Task(answer, Response(ask.model), step.argument, input_tokens=seen.input_bytes // 4)
        try:
            await self._behaviours[step.name](task)
            seen.outcome = "done"
        except ConnectionError:
            seen.outcome = "client_left"

    def _next_step(self, ask: Ask) -> Step:
        plan = steps(ask.plan)
        unknown = {step.name for step in plan} - self._behaviours.keys()
        if unknown or not plan:
            raise ValueError(f"the plan {ask.plan!r} is not made of {', '.join(self._behaviours)}")
        step = plan[min(self._asked[ask], len(plan) - 1)]
        self._asked[ask] += 1
        return step
