"""Marks headers, first byte and progress of requests that httpx makes inside of ``upstream()``, by themselves.

::

    client = turnscope.integrations.httpx.instrument(httpx.AsyncClient())

Public hooks of httpx only. Requests outside of ``upstream()`` are left alone, a tool's among them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import httpx

from turnscope._guard import guard
from turnscope.current import current_scope
from turnscope.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

ClientT = TypeVar("ClientT", bound="httpx.Client | httpx.AsyncClient")


def instrument(client: ClientT) -> ClientT:
    """Let *client* mark its responses from now on, and return it."""
    hooks = client.event_hooks
    hook = _on_response_async if isinstance(client, httpx.AsyncClient) else _on_response
    # First of all hooks: one that reads the body would otherwise read it uncounted.
    hooks["response"] = [hook, *hooks["response"]]
    client.event_hooks = hooks
    return client


def _on_response(response: httpx.Response) -> None:
    with guard:
        lane = _lane_of(response)
        if lane is not None and isinstance(response.stream, httpx.SyncByteStream):
            response.stream = _Counted(response.stream, lane)


async def _on_response_async(response: httpx.Response) -> None:
    with guard:
        lane = _lane_of(response)
        if lane is not None and isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _CountedAsync(response.stream, lane)


def _lane_of(response: httpx.Response) -> Upstream | None:
    """Mark the headers and return the request's lane; ``None`` for a redirect, which another response follows."""
    lane = current_scope()
    if not isinstance(lane, Upstream) or lane.is_closed or response.has_redirect_location:
        return None
    lane.headers(response.status_code)
    return lane


class _Counted(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, lane: Upstream) -> None:
        self._stream, self._lane = stream, lane

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            self._lane.progress(len(chunk))
            yield chunk

    def close(self) -> None:
        self._stream.close()


class _CountedAsync(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, lane: Upstream) -> None:
        self._stream, self._lane = stream, lane

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._lane.progress(len(chunk))
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
