"""What the tests of the Claude Code source share: transcripts made by hand, in the shape that 2.1 writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from turnscope_analyzer.sources.claude.transcript import read_transcript

if TYPE_CHECKING:
    from pathlib import Path

    from turnscope_analyzer.model import Capture

SESSION = "0b6cf2f3-4d51-4a65-9d7e-1c2b3a4d5e6f"


class Transcript:
    """A transcript made by hand, one record a second."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[bytes] = []
        self._seconds = 0
        self._last: str | None = None
        self._responses = 0

    def add(self, kind: str, *, after_s: int = 1, **content: Any) -> Transcript:
        self._seconds += after_s
        uuid = f"{kind}-{len(self.lines)}"
        stamp = f"2026-11-21T01:{self._seconds // 60:02}:{self._seconds % 60:02}.000Z"
        own = {"userType": "external", "cwd": "/home/user/project", "sessionId": SESSION, "version": "2.1.220"}
        record = {"parentUuid": self._last, "isSidechain": False, **own, "type": kind}
        self._last = uuid
        return self.raw(orjson.dumps({**record, "uuid": uuid, "timestamp": stamp, **content}))

    def raw(self, text: bytes) -> Transcript:
        self.lines.append(text)
        return self

    def user(self, text: str = "Please do the thing.", **content: Any) -> Transcript:
        return self.add("user", message={"role": "user", "content": text}, **content)

    def answer(self, *blocks: dict[str, Any], stop: str | None = "end_turn", **content: Any) -> Transcript:
        """Add a whole response of one record."""
        self._responses += 1
        return self.part(*(blocks or ({"type": "text", "text": "Done."},)), stop=stop, **content)

    def part(self, *blocks: dict[str, Any], stop: str | None = None, **content: Any) -> Transcript:
        """Add a record of the response that the last `answer` began."""
        usage = {"input_tokens": 10, "cache_read_input_tokens": 100, "output_tokens": 5}
        name = f"msg_{self._responses}"
        message = {"id": name, "role": "assistant", "model": "claude-opus-5", "content": list(blocks)}
        return self.add("assistant", message={**message, "stop_reason": stop, "usage": usage}, **content)

    def call(self, call_id: str = "toolu_1", name: str = "Bash", stop: str | None = "tool_use") -> Transcript:
        return self.answer({"type": "tool_use", "id": call_id, "name": name, "input": {}}, stop=stop)

    def output(self, call_id: str = "toolu_1", **content: Any) -> Transcript:
        block = {"type": "tool_result", "tool_use_id": call_id, "content": "ok"}
        return self.add("user", message={"role": "user", "content": [block]}, **content)

    def note(self, subtype: str, **content: Any) -> Transcript:
        return self.add("system", subtype=subtype, **content)

    def shown_error(self, text: str, **content: Any) -> Transcript:
        """Add the message that the user is shown instead of a response."""
        message = {"id": "e", "role": "assistant", "model": "<synthetic>", "content": [{"type": "text", "text": text}]}
        return self.add(
            "assistant", isApiErrorMessage=True, message={**message, "stop_reason": "stop_sequence"}, **content
        )

    def write(self) -> Path:
        self.path.write_bytes(b"".join(line + b"\n" for line in self.lines))
        return self.path

    def read(self) -> Capture:
        return read_transcript(self.write())
