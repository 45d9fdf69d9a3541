"""HTTP/1.1 on a bare socket: as much as a model client needs, and nothing that keeps us from breaking it.

A web framework sees to it that every answer ends well; this server has to reset, cut and starve its clients.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping

_BODY_LIMIT_BYTES = 64 << 20


@dataclass(frozen=True)
class Request:
    """A request as it came in; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body's value; an empty body is an empty object."""
        return json.loads(self.body) if self.body else {}


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Read one request whose length is announced.

    Returns:
        None when the client left before it had sent a whole request, or sent something else than HTTP.
    """
    try:
        first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
        method, path, _ = first.split(" ", 2)
        fields = (line.partition(":") for line in rest if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in fields}
        length = int(headers.get("content-length", "0"))
        body = await reader.readexactly(min(length, _BODY_LIMIT_BYTES))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
        return None
    return Request(method, path, headers, body)


class Answer:
    """The answer to one request, sent piece by piece, so that it can stop after any of them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status line and *headers*; the connection ends with the answer."""
        fields = {**headers, "connection": "close"}
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{k}: {v}" for k, v in fields.items())]
        await self._send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def stream_head(self) -> None:
        """Send the headers of an event stream."""
        await self.head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})

    async def chunk(self, data: bytes) -> None:
        """Send one chunk of a stream."""
        await self._send(b"%x\r\n%b\r\n" % (len(data), data))

    async def last_chunk(self) -> None:
        """Say that the stream is whole."""
        await self._send(b"0\r\n\r\n")

    async def json(self, status: int, value: object, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole answer."""
        body = json.dumps(value).encode()
        await self.head(
            status, {**(headers or {}), "content-type": "application/json", "content-length": str(len(body))}
        )
        await self._send(body)

    async def hang(self) -> NoReturn:
        """Send nothing more, for as long as the client stays.

        Raises:
            ConnectionAbortedError: The client closed its side.
        """
        while await self._reader.read(1 << 16):
            pass
        raise ConnectionAbortedError

    def reset(self) -> None:
        """Drop the connection with a TCP reset: the client reads ECONNRESET."""
        linger_zero = struct.pack("ii", 1, 0)
        connection: socket.socket = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
        self._writer.transport.abort()

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()
