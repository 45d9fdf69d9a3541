"""The events of the Responses API that a client needs to follow one answer.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from examples.gateway.model_server.plan import ToolUse

KEEPALIVE = b": keepalive\n\n"
"""A comment of the event stream: bytes that are no progress."""

_ids = itertools.count(1)


def frame(event: dict[str, Any]) -> bytes:
    """Return *event* as it goes over the wire."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


class Response:
    """One response of the model, event by event."""

    def __init__(self, model: str) -> None:
        self._number = next(_ids)
        self._model = model
        self._output: list[dict[str, Any]] = []

    def created(self) -> dict[str, Any]:
        """Return the event that begins every stream."""
        return {"type": "response.created", "response": self._response("in_progress")}

    def message_added(self) -> dict[str, Any]:
        """Return the event that begins a message."""
        item = {**self._message(""), "status": "in_progress", "content": []}
        return {"type": "response.output_item.added", "output_index": 0, "item": item}

    def text(self, words: list[str]) -> Iterator[dict[str, Any]]:
        """Yield a delta for each of *words*."""
        for word in words:
            yield {
                "type": "response.output_text.delta",
                "item_id": self._message("")["id"],
                "output_index": 0,
                "content_index": 0,
                "delta": f"{word} ",
            }

    def message_done(self, words: list[str]) -> dict[str, Any]:
        """Return the event that ends a message."""
        item = self._message("".join(f"{word} " for word in words))
        self._output.append(item)
        return {"type": "response.output_item.done", "output_index": 0, "item": item}

    def calls(self, uses: list[ToolUse]) -> Iterator[dict[str, Any]]:
        """Yield the events of tool calls that may run side by side."""
        for index, use in enumerate(uses):
            item = {
                "type": "function_call",
                "id": f"fc_{self._number}_{index}",
                "call_id": f"call_{self._number}_{index}",
                "name": use.name,
                "arguments": use.arguments,
                "status": "completed",
            }
            self._output.append(item)
            started = {**item, "arguments": "", "status": "in_progress"}
            yield {"type": "response.output_item.added", "output_index": index, "item": started}
            yield {"type": "response.output_item.done", "output_index": index, "item": item}

    def completed(self, input_tokens: int) -> dict[str, Any]:
        """Return the event that ends a whole response."""
        output_tokens = len(json.dumps(self._output)) // 4
        usage = {
            "input_tokens": input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": input_tokens + output_tokens,
        }
        return {"type": "response.completed", "response": {**self._response("completed"), "usage": usage}}

    def failed(self, code: str, message: str) -> dict[str, Any]:
        """Return the event that ends a response with an error."""
        error = {"code": code, "message": message}
        return {"type": "response.failed", "response": {**self._response("failed"), "error": error}}

    def _response(self, status: str) -> dict[str, Any]:
        return {
            "id": f"resp_{self._number}",
            "object": "response",
            "model": self._model,
            "status": status,
            "output": list(self._output),
        }

    def _message(self, text: str) -> dict[str, Any]:
        return {
            "type": "message",
            "id": f"msg_{self._number}",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        }
