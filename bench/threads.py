"""Codex homes as large ones are: one thread full of images, or a thousand threads of the usual size.

The records have the shape that 0.142 writes (tests/data/codex has real ones). Every turn but the last one of each
thread ends well, the last one waits for an answer after its tool has returned. The same arguments give the same
bytes.
"""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

START_MS = 1_795_223_156_675
"""2026-11-21, in the middle of the night."""

WINDOW = 258_400
IMAGES = 142
"""How often an image stands in the large thread: as the model saw it, as the user sent it, and in each compaction."""

_WORDS = ("read", "the", "file", "again", "and", "tell", "which", "line", "fails", "before", "it", "is", "written")


@dataclass
class Thread:
    """One rollout while it is written; the clock goes on by a fraction of a second with each record."""

    out: BinaryIO
    chance: random.Random
    text_bytes: int
    at_ms: int = START_MS
    tokens: int = 0
    turn_id: str = ""

    def __post_init__(self) -> None:
        self.thread_id = self.new_id()

    def new_id(self) -> str:
        """Return a version 7 UUID of this moment."""
        tail = f"{self.chance.getrandbits(62) | 2 << 62:016x}"
        stamp = f"{self.at_ms:012x}"
        return f"{stamp[:8]}-{stamp[8:]}-7{self.chance.getrandbits(12):03x}-{tail[:4]}-{tail[4:]}"

    def write(self, kind: str, payload: dict[str, Any]) -> None:
        """Append one record."""
        self.at_ms += self.chance.randrange(5, 400)
        self.out.write(orjson.dumps({"timestamp": stamp_of(self.at_ms), "type": kind, "payload": payload}) + b"\n")

    def event(self, kind: str, **payload: Any) -> None:
        """Append what the program tells its client."""
        self.write("event_msg", {"type": kind, **payload})

    def item(self, kind: str, **payload: Any) -> None:
        """Append what stands in the conversation."""
        passed = {"internal_chat_message_metadata_passthrough": {"turn_id": self.turn_id}}
        self.write("response_item", {"type": kind, **payload, **passed})

    def text(self, share: float = 1.0) -> str:
        """Return words, about ``text_bytes`` of them."""
        count = int(self.text_bytes * share / 5 * self.chance.uniform(0.2, 1.8)) + 1
        return " ".join(self.chance.choices(_WORDS, k=count))

    def meta(self) -> None:
        """Append the header."""
        own = {"session_id": self.thread_id, "id": self.thread_id, "timestamp": stamp_of(self.at_ms)}
        told = {"cwd": "/home/user/project", "originator": "bench", "cli_version": "0.142.5", "source": "vscode"}
        self.write("session_meta", {**own, **told, "base_instructions": {"text": "x" * 14_000}})

    def open_turn(self, images: Sequence[str]) -> None:
        """Append a turn's start and its prompt with *images*, which stand there twice."""
        self.turn_id = self.new_id()
        trace_id = f"{self.chance.getrandbits(128):032x}"
        self.event("task_started", turn_id=self.turn_id, trace_id=trace_id, model_context_window=WINDOW)
        self.write("turn_context", {"turn_id": self.turn_id, "approval_policy": "never", "model": "gpt-5.5"})
        prompt = self.text()
        seen = [{"type": "input_text", "text": prompt}, *({"type": "input_image", "image_url": url} for url in images)]
        self.item("message", role="user", content=seen)
        self.event("user_message", message=prompt, images=list(images), local_images=[], text_elements=[])

    def step(self, number: int, image: str | None = None) -> None:
        """Append a response that calls a tool, and the tool's output."""
        call_id = f"call_{self.at_ms}_{number}"
        self.event("agent_reasoning", text=self.text(0.2))
        self.item("reasoning", summary=[], content=None, encrypted_content="g" + "A" * int(self.text_bytes * 0.7))
        self.item("function_call", name="exec_command", call_id=call_id, arguments='{"cmd": "cat notes"}')
        output: Any = self.text()
        if image:
            output = [{"type": "input_text", "text": output}, {"type": "input_image", "image_url": image}]
        self.item("function_call_output", call_id=call_id, output=output)
        self.count()

    def count(self) -> None:
        """Append that a response is complete."""
        self.tokens += 1_000
        total = {"input_tokens": self.tokens, "output_tokens": 10, "total_tokens": self.tokens + 10}
        last = {"input_tokens": 990, "output_tokens": 10, "total_tokens": 1_000}
        info = {"total_token_usage": total, "last_token_usage": last, "model_context_window": WINDOW}
        self.event("token_count", info=info, rate_limits=None)

    def compact(self, images: Sequence[str]) -> None:
        """Append the thread's whole history, with the images that are still in it."""
        history = [
            {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": image}]}
            for image in images
        ]
        self.write("compacted", {"message": self.text(), "replacement_history": history, "window_number": 1})
        self.event("context_compacted")

    def close_turn(self) -> None:
        """Append the answer and the turn's end."""
        answer = self.text()
        self.event("agent_message", message=answer, phase=None)
        self.item("message", role="assistant", content=[{"type": "output_text", "text": answer}])
        self.count()
        self.event("task_complete", turn_id=self.turn_id, last_agent_message=answer, duration_ms=9_000)


def stamp_of(at_ms: int) -> str:
    """Return a time as Codex writes it; the bench stays within one month."""
    seconds, millis = divmod(at_ms - 1_793_491_200_000, 1_000)
    days, seconds = divmod(seconds, 86_400)
    return f"2026-11-{days + 1:02}T{seconds // 3_600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{millis:03}Z"


def large_thread(folder: Path, turns: int = 60, image_bytes: int = 4_172_000) -> int:
    """Write the one thread with its `IMAGES` images, 611 MB of it with the defaults, and return its turns."""
    chance = random.Random(142)
    pool = [_image(chance, image_bytes) for _ in range(16)]
    left = IMAGES
    with _file(folder, 0).open("wb") as out:
        thread = Thread(out, chance, text_bytes=7_000)
        thread.meta()
        for turn in range(turns):
            images = [chance.choice(pool)] if turn % 2 == 0 and left >= 2 else []
            left -= 2 * len(images)
            thread.open_turn(images)
            for number in range(18):
                image = chance.choice(pool) if number == 3 and left >= 1 and turn < turns - 1 else None
                left -= bool(image)
                thread.step(number, image)
            if turn % 6 == 5 and left >= 4:
                left -= 4
                thread.compact(chance.sample(pool, 4))
            if turn < turns - 1:
                thread.close_turn()
    return turns


def one_line(folder: Path, images: int = 60, image_bytes: int = 5_000_000) -> None:
    """Write a thread with a compaction whose one line has *images*, 300 MB of it with the defaults."""
    chance = random.Random(300)
    with _file(folder, 0).open("wb") as out:
        thread = Thread(out, chance, text_bytes=7_000)
        thread.meta()
        thread.open_turn(())
        thread.compact([_image(chance, image_bytes) for _ in range(images)])
        thread.close_turn()


def many_threads(folder: Path, threads: int = 1_000) -> int:
    """Write *threads* rollouts of 50 to 500 kB and return how many turns they hold."""
    chance = random.Random(1_000)
    total = 0
    for number in range(threads):
        turns = chance.randrange(2, 10)
        with _file(folder, number).open("wb") as out:
            thread = Thread(out, random.Random(number), text_bytes=1_500, at_ms=START_MS + number * 1_000)
            thread.meta()
            for turn in range(turns):
                thread.open_turn(())
                for step in range(chance.randrange(1, 11)):
                    thread.step(step)
                if turn < turns - 1:
                    thread.close_turn()
        total += turns
    return total


def _image(chance: random.Random, text_bytes: int) -> str:
    """Return a picture as the model gets it; nobody looks inside."""
    return "data:image/png;base64," + base64.b64encode(chance.randbytes(text_bytes * 3 // 4)).decode()


def _file(folder: Path, number: int) -> Path:
    path = folder / "sessions" / "2026" / "11" / f"{21 + number % 7}"
    path.mkdir(parents=True, exist_ok=True)
    return path / f"rollout-2026-11-21T02-{number // 60 % 60:02}-{number % 60:02}-{number:08x}.jsonl"
