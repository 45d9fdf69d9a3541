"""The gateway's HTTP side."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

import turnscope
from examples.gateway.messages import Message
from examples.gateway.model import ModelClient
from examples.gateway.sessions import Session
from examples.gateway.stop import stop_turn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from examples.gateway.runs import Run
    from examples.gateway.settings import Settings


class Gateway:
    """Accepts messages, runs their turns, and lets any number of clients watch."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sessions: dict[str, Session] = {}
        self._lost: list[turnscope.Orphan] = []

    def app(self) -> Starlette:
        """Return the ASGI application."""
        turn = "/sessions/{session}/turns/{turn}"
        return Starlette(
            routes=[
                Route("/sessions/{session}/messages", self.post_message, methods=["POST"]),
                Route(turn, self.get_turn),
                Route(f"{turn}/events", self.get_events),
                Route(f"{turn}/stop", self.post_stop, methods=["POST"]),
                Route(f"{turn}/resume", self.post_resume, methods=["POST"]),
                Route(f"{turn}/approvals/{{call_id}}", self.post_approval, methods=["POST"]),
                Route("/lost", self.get_lost),
            ],
            lifespan=self._lifespan,
        )

    async def post_message(self, request: Request) -> JSONResponse:
        """Accept a message: from 202 on, its client counts on an answer."""
        run = self._session(request).accept(await _message(request))
        return JSONResponse({"turn": run.turn.id}, status_code=202)

    async def get_turn(self, request: Request) -> JSONResponse:
        """Tell how far a turn is."""
        run = self._run(request)
        state = run.outcome or ("running" if run.task else "queued")
        return JSONResponse({"turn": run.turn.id, "state": state, "events": len(run.events)})

    async def get_events(self, request: Request) -> StreamingResponse:
        """Stream a turn's events from the client's cursor on."""
        run, client = self._run(request), request.query_params.get("client", "client")
        cursor = int(request.headers.get("last-event-id") or request.query_params.get("cursor", "0"))
        return StreamingResponse(_render(run, client, cursor), media_type="text/event-stream")

    async def post_stop(self, request: Request) -> JSONResponse:
        """Stop a turn; the answer is one of the five results."""
        turn_id = request.path_params["turn"]
        try:
            result = await stop_turn(turn_id, self._find(request), grace_s=self._settings.stop_grace_s)
        except OSError as error:
            return JSONResponse({"result": "failed", "reason": str(error)}, status_code=500)
        return JSONResponse({"result": result})

    async def post_resume(self, request: Request) -> JSONResponse:
        """Go on with a turn that was lost with an earlier gateway."""
        turn_id = request.path_params["turn"]
        if all(orphan.turn_id != turn_id for orphan in self._lost):
            raise HTTPException(404, f"turn {turn_id} was not lost")
        self._session(request).resume(turn_id, await _message(request))
        return JSONResponse({"turn": turn_id}, status_code=202)

    async def post_approval(self, request: Request) -> JSONResponse:
        """Allow or deny a tool call that waits for a person."""
        allow = bool((await request.json())["allow"])
        decided = self._run(request).decide(request.path_params["call_id"], allow=allow)
        return JSONResponse({"decided": decided}, status_code=200 if decided else 404)

    async def get_lost(self, _request: Request) -> JSONResponse:
        """List the turns that were lost with an earlier gateway, so that their clients can be told."""
        return JSONResponse([{"turn": lost.turn_id, "session": lost.session, "in": lost.phase} for lost in self._lost])

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        self._lost = turnscope.recover()
        self._model = ModelClient(self._settings)
        yield
        for session in self._sessions.values():
            await session.close()
        await self._model.close()

    def _session(self, request: Request) -> Session:
        name: str = request.path_params["session"]
        if not name.replace("-", "").replace("_", "").isalnum():
            raise HTTPException(400, "a session's name has letters, digits, - and _ only")
        if name not in self._sessions:
            self._sessions[name] = Session(name, self._settings, self._model)
        return self._sessions[name]

    def _find(self, request: Request) -> Run | None:
        session = self._sessions.get(request.path_params["session"])
        return session.runs.get(request.path_params["turn"]) if session else None

    def _run(self, request: Request) -> Run:
        run = self._find(request)
        if run is None:
            raise HTTPException(404, "no such turn here")
        return run


async def _render(run: Run, client: str, cursor: int) -> AsyncIterator[str]:
    with run.turn.renderer(client, cursor=cursor) as renderer:
        async for number, event in run.events.after(cursor):
            yield f"id: {number}\ndata: {event}\n\n"
            renderer.seen(number)


async def _message(request: Request) -> Message:
    try:
        return Message.of(await request.json())
    except ValueError as error:
        raise HTTPException(400, str(error)) from error
