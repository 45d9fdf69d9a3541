"""The server of HTTP: uvicorn, on a thread of its own, with limits for those who are slow or many.

uvicorn, because it is small, pure Python, well kept, and what most gateways in Python run on already. What it lacks is
a limit for who connects and does not send a whole head: that is added here.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio
    import socket

    from turnscope_analyzer.collect.over_http import App

_HEAD_S: Final = 20.0
"""The longest time from a connection, or from the begin of a later request on it, to the end of the request's head."""

_KEEP_ALIVE_S: Final = 75
"""Longer than the minute that exporters of metrics wait between two requests."""

_MOST_CONNECTIONS: Final = 512
_GRACE_S: Final = 5


class _Protocol(H11Protocol):
    """A connection that ends when it is slow to say what it wants."""

    _slow: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._slow = self.loop.call_later(_HEAD_S, transport.close)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._slow is None:
            # A part of the next head. The wait for its first byte is uvicorn's to end.
            self._slow = self.loop.call_later(_HEAD_S, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _stop_waiting(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None


class HttpServer:
    """Serves *app* on *listener*, which is closed at the end."""

    def __init__(self, app: App, listener: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GRACE_S,
        )
        self._server = uvicorn.Server(config)
        # Not on the main thread, where uvicorn would take the signals.
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="turnscope-collect-http", daemon=True
        )

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it serves; once started, it ends by itself only by an error."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Take nothing more, answer what is under way, and end."""
        self._server.should_exit = True
        self._thread.join()
