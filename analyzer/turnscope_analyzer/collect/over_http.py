"""OTLP over HTTP as an ASGI application: what is asked, in which form, by whom, and how much of it.

A body is counted while it comes. One that is too long, or that there is no memory for, is read to its end and thrown
away before it is refused: a sender that is cut off while it sends never sees the answer.
"""

from __future__ import annotations

import asyncio
import hmac
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from turnscope_analyzer.collect import answers
from turnscope_analyzer.collect.decode import CODINGS
from turnscope_analyzer.collect.refusal import RETRY_AFTER_S, RefusedError
from turnscope_analyzer.collect.senders import Peer
from turnscope_analyzer.versions import own_version

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from concurrent.futures import Executor
    from types import TracebackType

    from typing_extensions import Self

    from turnscope_analyzer.collect.decode import Encoding
    from turnscope_analyzer.collect.intake import Intake
    from turnscope_analyzer.collect.refusal import Why
    from turnscope_analyzer.sources.otlp.wire import Signal

    Message = Mapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]

SIGNALS: Final[dict[str, Signal]] = {"/v1/traces": "traces", "/v1/logs": "logs", "/v1/metrics": "metrics"}

_ENCODINGS: Final[dict[str, Encoding]] = {"application/json": "json", "application/x-protobuf": "protobuf"}
_STATUS: Final[dict[Why, int]] = {"malformed": 400, "too_large": 413, "busy": 429, "no_room": 503}
_BODY_S: Final = 60.0
"""A body that takes longer is not waited for. Refused as busy, for senders drop what they get a 408 for."""

_MOST_DRAINED: Final = 256 << 20
"""So much of a body that is refused anyway is read."""


class Answer(NamedTuple):
    """What goes back. ``headers`` are those beside the type and the length of *body*."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str]


class _Form(NamedTuple):
    """What the head of a request says of its body; ``length`` is 0 where that is not said."""

    signal: Signal
    encoding: Encoding
    coding: str
    length: int
    peer: Peer | None


class _AnsweredError(Exception):
    """The request is answered without being taken."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}


class _GoneError(Exception):
    """Whoever asked is not there any more."""


class App:
    """The application.

    Args:
        intake: Takes the requests.
        work: Where it does so, off the event loop.
        token: What has to be given as a bearer token; nothing is asked for where it is None.
    """

    def __init__(self, intake: Intake, work: Executor, token: str | None) -> None:
        self._intake, self._work = intake, work
        self._bearer = f"Bearer {token}".encode() if token is not None else None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        with suppress(_GoneError):
            answer = await self._answer(scope, receive)
            headers = {"content-type": answer.content_type, "content-length": str(len(answer.body)), **answer.headers}
            shown = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": answer.status, "headers": shown})
            await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Message, receive: Receive) -> Answer:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["path"] == "/" and scope["method"] in {"GET", "HEAD"}:
            return Answer(200, "application/json", self._about(allowed=self._is_allowed(headers)), {})
        named = headers.get("content-type", "").partition(";")[0].strip().lower()
        encoding = _ENCODINGS.get(named, "json")
        try:
            signal = self._signal_of(scope, headers)
            if named not in _ENCODINGS:
                raise _AnsweredError(415, f"content-type must be {' or '.join(_ENCODINGS)}")
            coding = headers.get("content-encoding", "").strip().lower().replace("identity", "")
            if coding and coding not in CODINGS:
                raise _AnsweredError(415, f"content-encoding must be {' or '.join(CODINGS)}, or none")
            form = _Form(
                signal, encoding, coding, _length(headers), Peer(*scope["client"]) if scope["client"] else None
            )
            return await self._take(form, receive)
        except RefusedError as error:
            wait_s = RETRY_AFTER_S.get(error.why)
            return _refusal(encoding, _STATUS[error.why], str(error), {"retry-after": str(wait_s)} if wait_s else {})
        except _AnsweredError as error:
            await _drain(receive)
            return _refusal(encoding, error.status, str(error), error.headers)

    def _signal_of(self, scope: Message, headers: Mapping[str, str]) -> Signal:
        """Return what the path asks for, of somebody who may.

        Raises:
            _AnsweredError: It asks for something else, or somebody else does.
        """
        if not self._is_allowed(headers):
            raise _AnsweredError(401, "send the collector's token as a bearer token", {"www-authenticate": "Bearer"})
        signal = SIGNALS.get(scope["path"])
        if signal is None:
            raise _AnsweredError(404, f"nothing here; OTLP goes to {', '.join(SIGNALS)}")
        if scope["method"] != "POST":
            raise _AnsweredError(405, "OTLP is sent with POST", {"allow": "POST"})
        return signal

    def _is_allowed(self, headers: Mapping[str, str]) -> bool:
        given = headers.get("authorization", "").encode("latin-1")
        return self._bearer is None or hmac.compare_digest(given, self._bearer)

    async def _take(self, form: _Form, receive: Receive) -> Answer:
        with _Body(self._intake) as body:
            try:
                await asyncio.wait_for(self._receive(receive, form.length, body), _BODY_S)
            except asyncio.TimeoutError:
                raise self._refused("busy", f"the body did not come within {_BODY_S:.0f} s") from None
            signal, encoding, coding, _, peer = form
            work = asyncio.get_running_loop().run_in_executor
            taken = await work(self._work, self._intake.take, signal, encoding, coding, body.whole(), peer)
        return Answer(200, answers.CONTENT_TYPES[encoding], answers.response(signal, encoding, taken), {})

    async def _receive(self, receive: Receive, length: int, body: _Body) -> None:
        """Read a body of *length* bytes, as its sender says, into *body*.

        Raises:
            RefusedError: There is more of it than is taken, in one body or at a time.
            _GoneError: The sender went.
        """
        cap = self._intake.body_bytes
        why: Why | None = "too_large" if length > cap else None
        drained = length if length > _MOST_DRAINED else 0
        is_more = True
        while is_more and drained <= _MOST_DRAINED:
            block, is_more = await _next(receive)
            if why is not None:
                drained += len(block)
            elif body.length + len(block) > cap:
                why = "too_large"
            elif not body.add(block):
                why = "busy"
            if why is not None:
                body.drop()
        if why == "too_large":
            raise self._refused(why, f"more than {cap} bytes; send smaller batches")
        if why is not None:
            raise self._refused(why, "too much is being received; try again")

    def _refused(self, why: Why, message: str) -> RefusedError:
        error = RefusedError(why, message)
        self._intake.refuse(error)
        return error

    def _about(self, *, allowed: bool) -> bytes:
        """Return what is told at the root: what this is, and to those who may send, what it has taken."""
        told: dict[str, object] = {"turnscope collect": own_version(), "takes": [f"POST {path}" for path in SIGNALS]}
        if allowed:
            told["counts"] = dict(sorted(self._intake.counts.items()))
            told["bytes under way"] = self._intake.memory.held_bytes
        return orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


class _Body:
    """What has come of a body; its bytes are taken from the intake's memory until the end of the ``with``."""

    def __init__(self, intake: Intake) -> None:
        self.length = 0
        self._memory = intake.memory
        self._blocks: list[bytes] = []

    def add(self, block: bytes) -> bool:
        """Keep *block*; False where there is no memory for it."""
        if not self._memory.take(len(block)):
            return False
        self.length += len(block)
        self._blocks.append(block)
        return True

    def drop(self) -> None:
        """Keep nothing of it."""
        self._blocks.clear()
        self._memory.give(self.length)
        self.length = 0

    def whole(self) -> bytes:
        """Return the body; it is asked for once."""
        body = b"".join(self._blocks)
        self._blocks.clear()
        return body

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()


async def _next(receive: Receive) -> tuple[bytes, bool]:
    """Return the next part of a body, and whether there is more.

    Raises:
        _GoneError: The sender went before its end.
    """
    message = await receive()
    if message["type"] == "http.disconnect":
        raise _GoneError
    return message.get("body", b""), bool(message.get("more_body"))


async def _drain(receive: Receive) -> None:
    """Read what is left of a body, within limits: who is cut off while it sends never sees the answer."""

    async def read() -> None:
        drained, is_more = 0, True
        while is_more and drained <= _MOST_DRAINED:
            block, is_more = await _next(receive)
            drained += len(block)

    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(read(), _BODY_S)


def _length(headers: Mapping[str, str]) -> int:
    """Return how long the body is said to be, 0 where it is not said. The server has checked that it is a number."""
    digits = headers.get("content-length", "")
    return int(digits) if digits.isdigit() else 0


def _refusal(encoding: Encoding, status: int, message: str, headers: Mapping[str, str]) -> Answer:
    # Closed, for a part of the body may still be on its way.
    kept = {"connection": "close", **headers}
    return Answer(status, answers.CONTENT_TYPES[encoding], answers.status(encoding, status, message), kept)
