from __future__ import annotations

import asyncio
import gzip
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

import turnscope
from turnscope.integrations.asgi import RendererMiddleware
from turnscope.integrations.httpx import instrument

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request
    from starlette.websockets import WebSocket

    from turnscope.testing import Recording


async def stream(request: Request) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"data: {}\n\n"
            await asyncio.sleep(0)

    return StreamingResponse(body(), media_type="text/event-stream")


async def redirect(request: Request) -> RedirectResponse:
    return RedirectResponse("/stream")


async def fail(request: Request) -> PlainTextResponse:
    return PlainTextResponse("no", status_code=500)


async def packed(request: Request) -> StreamingResponse:
    return StreamingResponse(iter([gzip.compress(b"x" * 1000)]), headers={"content-encoding": "gzip"})


async def cut(request: Request) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        yield b"data: {}\n\n"
        raise ConnectionResetError("the model is gone")

    return StreamingResponse(body())


MODEL = Starlette(
    routes=[
        Route(f"/{handler.__name__}", handler, methods=["GET"]) for handler in (stream, redirect, fail, packed, cut)
    ]
)


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve *app* on a real port of this host, and yield its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    with served(MODEL) as address:
        yield address


def upstream_marks(recording: Recording) -> list[tuple[str, dict[str, Any]]]:
    return [(mark["phase"], mark.get("attrs", {})) for mark in recording.marks() if mark["lane"] == "upstream:1"]


def test_httpx_marks_headers_first_byte_and_progress_by_itself(recording: Recording, model: str) -> None:
    with instrument(httpx.Client()) as client, turnscope.turn("s"), turnscope.upstream():
        response = client.get(f"{model}/stream")

    marks = upstream_marks(recording)
    assert [phase for phase, _ in marks] == ["upstream_sent", "response_headers", "first_byte", "upstream_completed"]
    assert marks[1][1]["status"] == 200
    assert marks[3][1]["bytes"] == len(response.content) == 30


def test_httpx_marks_asynchronous_streams_chunk_by_chunk(recording: Recording, model: str) -> None:
    async def main() -> list[list[str]]:
        seen: list[list[str]] = []
        async with instrument(httpx.AsyncClient()) as client:
            with turnscope.turn("s"), turnscope.upstream():
                async with client.stream("GET", f"{model}/stream") as response:
                    seen.append(recording.phases()[2:])
                    seen += [recording.phases()[2:] async for _ in response.aiter_lines()]
        return seen

    seen = asyncio.run(main())

    assert seen[0] == ["upstream_sent", "response_headers"]
    assert seen[1] == ["upstream_sent", "response_headers", "first_byte"]
    assert upstream_marks(recording)[-1][1]["bytes"] == 30


def test_httpx_counts_the_bytes_that_came_and_not_those_that_were_unpacked(recording: Recording, model: str) -> None:
    with instrument(httpx.Client()) as client, turnscope.turn("s"), turnscope.upstream():
        assert client.get(f"{model}/packed").text == "x" * 1000

    assert upstream_marks(recording)[-1][1]["bytes"] < 100


def test_httpx_passes_over_a_redirect(recording: Recording, model: str) -> None:
    with instrument(httpx.Client(follow_redirects=True)) as client, turnscope.turn("s"), turnscope.upstream():
        client.get(f"{model}/redirect")

    statuses = [attrs["status"] for phase, attrs in upstream_marks(recording) if phase == "response_headers"]
    assert statuses == [200]


def test_httpx_leaves_requests_outside_of_upstream_alone(recording: Recording, model: str) -> None:
    with instrument(httpx.Client()) as client:
        client.get(f"{model}/stream")
        with turnscope.turn("s"), turnscope.upstream(), turnscope.tool("fetch"):
            client.get(f"{model}/stream")

    assert [phase for phase, _ in upstream_marks(recording)] == ["upstream_sent", "upstream_completed"]


def test_hooks_of_the_user_go_on_and_run_after_ours(recording: Recording, model: str) -> None:
    seen: list[list[str]] = []

    def hook(response: httpx.Response) -> None:
        response.read()
        seen.append(recording.phases())

    with (
        instrument(httpx.Client(event_hooks={"response": [hook]})) as client,
        turnscope.turn("s"),
        turnscope.upstream(),
    ):
        client.get(f"{model}/stream")

    assert seen[0][-1] == "first_byte"


def test_an_error_status_raised_by_httpx_fails_the_request(recording: Recording, model: str) -> None:
    with (
        pytest.raises(httpx.HTTPStatusError),
        instrument(httpx.Client()) as client,
        turnscope.turn("s"),
        turnscope.upstream(),
    ):
        client.get(f"{model}/fail").raise_for_status()

    phase, attrs = upstream_marks(recording)[-1]
    assert phase == "upstream_failed"
    assert (attrs["error_type"], attrs["status"]) == ("server_error", 500)


def test_a_stream_that_is_cut_fails_as_cut(recording: Recording, model: str) -> None:
    with (
        pytest.raises(httpx.RemoteProtocolError),
        instrument(httpx.Client()) as client,
        turnscope.turn("s"),
        turnscope.upstream(),
    ):
        client.get(f"{model}/cut")

    phase, attrs = upstream_marks(recording)[-1]
    assert phase == "upstream_failed"
    assert (attrs["error_type"], attrs["bytes"]) == ("stream_cut", 10)


def get(app: Any) -> httpx.Response:
    async def main() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
            return await client.get("/stream")

    return asyncio.run(main())


def talk(app: Any, *received: dict[str, Any]) -> list[str]:
    """Let a websocket client send *received* to *app*, and return the kinds of what it is sent."""
    messages, sent = list(received), list[str]()

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])

    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b"", "subprotocols": []}
    asyncio.run(app(scope, receive, send))
    return sent


def renderer_marks(recording: Recording) -> list[tuple[str, str, Any]]:
    return [
        (mark["lane"], mark["phase"], mark["attrs"].get("cursor"))
        for mark in recording.marks()
        if mark["lane"].startswith("renderer")
    ]


def test_a_streamed_response_is_a_renderer_of_the_turn_it_shows(recording: Recording) -> None:
    turn = turnscope.accept("s", turn_id="t")
    app = RendererMiddleware(MODEL, turn_of=lambda scope: "t" if scope["path"] == "/stream" else None)

    with served(app) as address, httpx.Client() as client:
        client.get(f"{address}/stream")
        client.get(f"{address}/packed")

    assert renderer_marks(recording) == [
        ("renderer:1", "renderer_attached", None),
        ("renderer:1", "renderer_detached", 3),
    ]
    assert not turn.has_ended


def test_a_client_that_goes_away_is_detached(recording: Recording) -> None:
    turnscope.accept("s", turn_id="t")
    gone = threading.Event()

    async def endless(request: Request) -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"data: {}\n\n"
                    await asyncio.sleep(0.001)
            finally:
                gone.set()

        return StreamingResponse(body())

    app = RendererMiddleware(Starlette(routes=[Route("/", endless)]), turn_of=lambda _: "t")
    with served(app) as address:
        with httpx.stream("GET", address) as response:
            next(response.iter_bytes())
        assert gone.wait(10)

    attached, detached = renderer_marks(recording)
    assert (attached[1], detached[1]) == ("renderer_attached", "renderer_detached")
    assert detached[2] >= 1


def test_a_websocket_is_a_renderer_too(recording: Recording) -> None:
    async def socket_of(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("a")
        await websocket.send_bytes(b"b")
        await websocket.close()

    turnscope.accept("s", turn_id="t")
    app = RendererMiddleware(Starlette(routes=[WebSocketRoute("/", socket_of)]), turn_of=lambda _: "t")

    sent = talk(app, {"type": "websocket.connect"})

    assert sent == ["websocket.accept", "websocket.send", "websocket.send", "websocket.close"]
    assert renderer_marks(recording) == [
        ("renderer:1", "renderer_attached", None),
        ("renderer:1", "renderer_detached", 2),
    ]


@pytest.mark.parametrize("turn_of", [lambda _: None, lambda _: "unknown", lambda scope: scope["nothing"]])
def test_a_connection_that_shows_no_turn_is_served_as_it_is(recording: Recording, turn_of: Any) -> None:
    assert get(RendererMiddleware(MODEL, turn_of=turn_of)).text.count("data:") == 3
    assert recording.marks() == []


def test_the_turn_that_an_answer_is_given_in_is_the_one_it_shows(recording: Recording) -> None:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        with turnscope.turn("s"):
            await MODEL(scope, receive, send)

    get(RendererMiddleware(answer))

    assert recording.phases() == ["accepted", "started", "renderer_attached", "completed", "renderer_detached"]
