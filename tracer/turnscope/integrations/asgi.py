"""Marks when a client of an ASGI application attaches to a turn's stream, what it has got, and when it goes.

::

    app = RendererMiddleware(app, turn_of=lambda scope: scope["path_params"].get("turn_id"))

Needs nothing but the ASGI protocol: server-sent events, any other streamed response, and websockets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from turnscope._guard import guard
from turnscope.current import current_turn
from turnscope.lanes import Renderer
from turnscope.recorder import active

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from turnscope.turn import Turn

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]
    TurnOf = Callable[[Message], "Turn | str | None"]

_OPENING = frozenset({"http.response.start", "websocket.accept"})
_EVENTS = frozenset({"http.response.body", "websocket.send"})


class RendererMiddleware:
    """Wraps *app*; a response or websocket that shows a turn is a renderer of it.

    Each message that went out counts as one event that the client has seen.

    Args:
        app: The application.
        turn_of: Returns the turn that a connection shows, itself or by its id, or ``None``. Asked with the
            connection's scope when the answer begins; when left out, it is the turn that the answer is given in.
    """

    def __init__(self, app: App, turn_of: TurnOf | None = None) -> None:
        self._app = app
        self._turn_of = turn_of

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        client: Renderer | None = None
        seen = 0

        async def send_and_count(message: Message) -> None:
            nonlocal client, seen
            await send(message)
            if message["type"] in _OPENING:
                client = self._attach(scope)
            elif client is not None and message["type"] in _EVENTS and _has_content(message):
                seen += 1
                client.seen(seen)

        try:
            await self._app(scope, receive, send_and_count)
        finally:
            if client is not None:
                client.__exit__(None, None, None)

    def _attach(self, scope: Message) -> Renderer | None:
        with guard:
            turn = current_turn() if self._turn_of is None else self._turn_of(scope)
            if isinstance(turn, str):
                turn = active().turns.get(turn)
            if turn is not None:
                # Numbered and not called by its address: two tabs are two clients, and whose they are is not said.
                return Renderer(turn, "renderer_attached", {"name": scope["type"]}).__enter__()
        return None


def _has_content(message: Message) -> bool:
    return bool(message.get("body") or message.get("text") or message.get("bytes"))
