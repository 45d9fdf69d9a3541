"""What the tests of the Codex source share: real captures, hand-made rollouts, and marks in a form to compare."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from turnscope_analyzer.sources.codex.rollout import read_rollout

if TYPE_CHECKING:
    from turnscope_analyzer.model import Capture, Mark

CAPTURES = Path(__file__).parent / "data" / "codex"
SHARED = Path(os.environ.get("TURNSCOPE_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
"""Captures that may not be copied into this repository; tests that need them are skipped where they are missing."""

START_NS = 1_795_222_800_000_000_000
THREAD = "01a1fba3-8044-7381-b581-b20b3f54ce8a"


def capture(name: str) -> Capture:
    return read_rollout(CAPTURES / f"{name}.jsonl")


def story(read: Capture, turn: int = -1) -> list[str]:
    """Return the phases of one turn in order, with the lanes of those that there may be many of."""
    turns = turns_of(read)
    return [f"{mark.phase} {mark.lane.partition(':')[2]}".rstrip() for mark in turns[list(turns)[turn]] if turns]


def turns_of(read: Capture) -> dict[str, list[Mark]]:
    turns: dict[str, list[Mark]] = defaultdict(list)
    for mark in read.marks:
        turns[mark.turn_id].append(mark)
    return turns


def last(read: Capture, phase: str) -> Mark:
    return [mark for mark in read.marks if mark.phase == phase][-1]


def record_at(file: str, offset: int) -> Any:
    with Path(file).open("rb") as lines:
        lines.seek(offset)
        return orjson.loads(lines.readline())


def record_of(file: str, text: bytes) -> Any:
    with Path(file).open("rb") as lines:
        return orjson.loads(next(line for line in lines if text in line))


class Rollout:
    """A rollout made by hand, one record a second."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: list[bytes] = []
        self._seconds = 0

    def add(self, kind: str, inner: str | None = None, **payload: Any) -> Rollout:
        body = {"type": inner, **payload} if inner else payload
        return self.raw(orjson.dumps({"timestamp": self.stamp(), "type": kind, "payload": body}))

    def stamp(self) -> str:
        self._seconds += 1
        return f"2026-11-21T01:{self._seconds // 60:02}:{self._seconds % 60:02}.000Z"

    def raw(self, text: bytes) -> Rollout:
        self._lines.append(text)
        return self

    def meta(self, thread: str = THREAD, **payload: Any) -> Rollout:
        return self.add("session_meta", id=thread, **payload)

    def started(self, turn: str, **payload: Any) -> Rollout:
        """Start a turn as 0.142 does, where a count without figures is a failed attempt."""
        return self.add("event_msg", "task_started", turn_id=turn, trace_id="0" * 32, **payload)

    def prompt(self) -> Rollout:
        return self.add("event_msg", "user_message", message="Please do the thing.")

    def call(self, call_id: str | None, arguments: str = "{}") -> Rollout:
        return self.add("response_item", "function_call", name="exec_command", call_id=call_id, arguments=arguments)

    def output(self, call_id: str | None) -> Rollout:
        return self.add("response_item", "function_call_output", call_id=call_id, output="done")

    def answer(self) -> Rollout:
        return self.add("response_item", "message", role="assistant", content=[])

    def count(self, total: int | None, last_total: int | None = None, window: int = 100_000, used: int = 1) -> Rollout:
        if total is None:
            return self.add("event_msg", "token_count", info=None)
        figures = {"input_tokens": used, "total_tokens": total}
        latest = {"total_tokens": total if last_total is None else last_total}
        info = {"total_token_usage": figures, "last_token_usage": latest, "model_context_window": window}
        return self.add("event_msg", "token_count", info=info)

    def complete(self, turn: str, message: str | None = "Done.", **payload: Any) -> Rollout:
        return self.add("event_msg", "task_complete", turn_id=turn, last_agent_message=message, **payload)

    def read(self, **options: Any) -> Capture:
        self.path.write_bytes(b"".join(line + b"\n" for line in self._lines))
        return read_rollout(self.path, **options)
