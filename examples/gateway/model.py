"""Asks the model, with retries, and records every attempt."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

import turnscope
from examples.gateway.errors import LimitReachedError, ModelError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from examples.gateway.history import Item
    from examples.gateway.runs import Run
    from examples.gateway.settings import Settings
    from turnscope.phases import Purpose


class ToolCall(NamedTuple):
    """A tool call that the model asks for."""

    call_id: str
    name: str
    arguments: dict[str, Any]


@dataclass
class Reply:
    """A whole answer of the model."""

    items: list[Item] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The words of its messages."""
        parts = (part for item in self.items if item["type"] == "message" for part in item["content"])
        return "".join(part["text"] for part in parts)

    @property
    def calls(self) -> list[ToolCall]:
        """The tools that it wants to use."""
        return [
            ToolCall(item["call_id"], item["name"], json.loads(item["arguments"]))
            for item in self.items
            if item["type"] == "function_call"
        ]


class ModelClient:
    """A client of the Responses API."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # No read timeout: a model may think for minutes. What that costs when a stream stalls is what the
        # recorder is there to show.
        self._http = httpx.AsyncClient(timeout=httpx.Timeout(None, connect=settings.connect_timeout_s))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ask(self, run: Run, items: Sequence[Item], *, purpose: Purpose = "turn") -> Reply:
        """Return the model's answer to *items*; text goes on to the clients as it comes.

        Raises:
            ModelError: The model's answer is an error, and no retry helped.
            httpx.TransportError: It cannot be reached, and no retry helped.
        """
        attempt = 1
        while True:
            try:
                return await self._attempt(run, items, purpose)
            except LimitReachedError as limit:  # noqa: PERF203 - a retry is a try in a loop
                run.emit("limit_reached", resets_in_s=limit.resets_in_s)
                with turnscope.quota(resets_at=time.time() + limit.resets_in_s):
                    await asyncio.sleep(limit.resets_in_s)
            except (ModelError, httpx.TransportError) as error:
                if attempt == self._settings.attempts or (isinstance(error, ModelError) and not error.worth_a_retry):
                    raise
                run.emit("retry", attempt=attempt, reason=str(error))
                await asyncio.sleep(self._settings.retry_delay_s * 2**attempt)
                attempt += 1

    async def _attempt(self, run: Run, items: Sequence[Item], purpose: Purpose) -> Reply:
        inject = run.message.inject
        timeout = httpx.Timeout(inject.read_timeout_s, connect=self._settings.connect_timeout_s)
        with turnscope.upstream(model=self._settings.model, purpose=purpose) as upstream:
            async with self._http.stream(
                "POST",
                f"{self._settings.providers[inject.provider]}/v1/responses",
                json=self._body(run, items, purpose),
                timeout=timeout,
            ) as response:
                upstream.headers(response.status_code)
                if response.status_code != httpx.codes.OK:
                    raise _error_of(response, await response.aread())
                return await _reply(run, _events(response, upstream))

    def _body(self, run: Run, items: Sequence[Item], purpose: str) -> dict[str, Any]:
        inject = run.message.inject
        metadata = {
            "turn": run.turn.id,
            "purpose": purpose,
            "plan": inject.plan,
            "compaction_plan": inject.compaction_plan,
        }
        return {"model": self._settings.model, "input": list(items), "stream": True, "metadata": metadata}


async def _events(response: httpx.Response, upstream: turnscope.Upstream) -> AsyncIterator[dict[str, Any]]:
    """Yield the events of the stream; comments keep the connection open and say nothing about the model."""
    async for line in response.aiter_lines():
        upstream.first_byte()
        if line.startswith(":"):
            upstream.keepalive()
        elif line.startswith("data:"):
            event = json.loads(line[len("data:") :])
            if event["type"] == "response.output_item.added":
                upstream.item(event["item"]["type"])
            else:
                upstream.event(event["type"])
            yield event


async def _reply(run: Run, events: AsyncIterator[dict[str, Any]]) -> Reply:
    reply = Reply()
    async for event in events:
        match event["type"]:
            case "response.output_text.delta":
                run.emit("text", text=event["delta"])
            case "response.output_item.done":
                reply.items.append(event["item"])
            case "response.failed":
                error = event["response"]["error"]
                raise ModelError(error["message"], code=error["code"])
            case "response.completed":
                return reply
            case _:
                pass
    raise httpx.RemoteProtocolError("the stream ended before response.completed")


def _error_of(response: httpx.Response, body: bytes) -> ModelError:
    error = json.loads(body)["error"]
    resets_in_s = response.headers.get("retry-after")
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS and resets_in_s:
        return LimitReachedError(error["message"], resets_in_s=float(resets_in_s))
    return ModelError(error["message"], status_code=response.status_code, code=error["code"])
