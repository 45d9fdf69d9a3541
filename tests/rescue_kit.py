"""What the tests of `rescue` share: a thread with pictures, and what stands in its place."""

from __future__ import annotations

import base64
import json
import os
import random
from typing import TYPE_CHECKING, Any

from codex_kit import THREAD, Rollout
from turnscope_analyzer.repair.making import apply
from turnscope_analyzer.repair.plan import Plan, Rewrite
from turnscope_analyzer.rescue.rewrite import Shortening
from turnscope_analyzer.rescue.survey import Survey, survey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG_AGO_NS = 1_700_000_000_000_000_000
NAME = f"rollout-2026-11-21T01-00-00-{THREAD}.jsonl"


def base64_text(size_bytes: int, seed: int = 0) -> str:
    """Return about so many bytes of base64."""
    return base64.b64encode(random.Random(seed).randbytes(size_bytes * 3 // 4)).decode()


def url(size_bytes: int, seed: int = 0, kind: str = "png") -> str:
    """Return a picture as Codex sends it, about so many bytes."""
    return f"data:image/{kind};base64,{base64_text(size_bytes, seed)}"


def rollout_in(home: Path) -> Path:
    """Return where the thread of a home has its file; the folder is there."""
    path = home / "sessions" / "2026" / "11" / "21" / NAME
    path.parent.mkdir(parents=True)
    return path


def with_item(path: Path, **payload: Any) -> Path:
    """Write a rollout with one item, its third record, between a prompt and the turn's end."""
    rollout = Rollout(path).meta().prompt().add("response_item", payload.pop("type"), **payload).complete("t1")
    rollout.read()
    return old(path)


def old(path: Path) -> Path:
    """Let *path* be a file that nobody has written to for long."""
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return path


def shortened(path: Path, backups: Path, **options: Any) -> tuple[Survey, Path]:
    """Take out of *path* what can be, and return what was found and the folder of the repair."""
    found = survey(path, **options)
    work = Shortening(found)
    step = Rewrite(path, "shorter", found.stamp, work.make, work.check, sha256=found.sha256, grows=True)
    return found, apply(Plan("rescue", [step], backups))


def records(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def differences(one: Any, other: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield where two JSON values differ, and what stands there in the second; shapes have to be the same."""
    if isinstance(one, dict) and isinstance(other, dict) and list(one) == list(other):
        for name in one:
            yield from differences(one[name], other[name], (*at, name))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from differences(left, right, (*at, number))
    elif (type(one), one) != (type(other), other):
        assert isinstance(one, str) and isinstance(other, str), f"another shape at {at}"
        yield at, other
