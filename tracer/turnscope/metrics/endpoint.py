"""Serves metrics to Prometheus on a thread; needs the extra ``prometheus``.

A client that is slow, or asks nonsense, delays nobody but the next scrape.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from turnscope.process import call_in_forked_child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from turnscope.metrics.address import Address

THREAD: Final = "turnscope-metrics-http"
_CLIENT_S: Final = 10


class _Handler(WSGIRequestHandler):
    timeout = _CLIENT_S

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing: a scrape every few seconds is no news."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, address: Address) -> None:
        self.address_family = address.family
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's: it asks the resolver for the name of the host, which may take its time.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that has gone."""


class Endpoint:
    """Listens at *address* as soon as it is made.

    Attributes:
        registry: What is served.
        address: Where, with the port that was found.

    Raises:
        OSError: Nobody can listen there.
    """

    def __init__(self, address: Address) -> None:
        self.registry = CollectorRegistry()
        self._server = _Server(address)
        self.address = address._replace(port=self._server.server_port)
        self._server.set_app(_one_at_a_time(make_wsgi_app(self.registry)))
        call_in_forked_child(self._forget)
        threading.Thread(target=self._server.serve_forever, name=THREAD, daemon=True).start()

    def close(self) -> None:
        """Serve nothing more; the port is free when this returns."""
        with suppress(OSError):
            self._server.socket.shutdown(socket.SHUT_RDWR)  # wakes the server, which would look up in half a second
        self._server.shutdown()
        self._server.server_close()

    def _forget(self) -> None:
        """Let go of the port in a forked child, which would keep it from the parent's next one."""
        self._server.socket.close()


def _one_at_a_time(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Let one scrape end before the next begins: the reader would give both the figures of both."""
    turn = threading.Lock()

    def answer(environ: Any, start_response: Any) -> Iterable[bytes]:
        with turn:
            return app(environ, start_response)

    return answer
