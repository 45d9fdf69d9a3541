"""What a stream chunk costs: progress() beside a span event and a span attribute, and what it adds to the journal."""

from __future__ import annotations

import importlib
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import DATA, Figures, in_child, interleaved, middle, ratio
from bench.table import Row, Target

if TYPE_CHECKING:
    from collections.abc import Callable

CONTROL = "set_attribute"
CHUNK_BYTES = 172


def journal_bytes(folder: Path) -> int:
    """Return how many bytes of text stand in the segments of *folder*."""
    return sum(len(path.read_bytes().rstrip(b"\0")) for path in folder.glob("*.jsonl"))


def per_call_ns(call: Callable[[int], object], count: int) -> float:
    """Return the processor time of one call in a plain loop, the loop included."""
    for _ in range(1000):
        call(CHUNK_BYTES)
    began = time.process_time_ns()
    for _ in range(count):
        call(CHUNK_BYTES)
    return (time.process_time_ns() - began) / count


def _ours(*, count: int, by_handle: bool) -> Figures:
    turnscope = importlib.import_module("turnscope")
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DATA) as name:
        turnscope.configure(name, service="bench")
        with turnscope.turn("chat-17"), turnscope.upstream(model="gpt-5") as request:
            progress = request.progress if by_handle else turnscope.progress
            progress(CHUNK_BYTES)
            before = journal_bytes(Path(name))
            figures = {"ns": per_call_ns(progress, count), "growth": journal_bytes(Path(name)) - before}
            request.complete()
        turnscope.shutdown()
    return figures


def _handle(*, count: int) -> Figures:
    return _ours(count=count, by_handle=True)


def _function(*, count: int) -> Figures:
    return _ours(count=count, by_handle=False)


def _in_a_span(*, count: int, event: bool) -> Figures:
    provider = importlib.import_module("opentelemetry.sdk.trace").TracerProvider()
    with provider.get_tracer("bench").start_as_current_span("upstream") as span:
        if event:
            return {"ns": per_call_ns(lambda size: span.add_event("chunk", {"bytes": size}), count)}
        return {"ns": per_call_ns(lambda size: span.set_attribute("bytes", size), count)}


def _add_event(*, count: int) -> Figures:
    return _in_a_span(count=count, event=True)


def _set_attribute(*, count: int) -> Figures:
    return _in_a_span(count=count, event=False)


CANDIDATES: dict[str, Callable[..., Figures]] = {
    "set_attribute": _set_attribute,
    "add_event": _add_event,
    "progress": _handle,
    "progress_function": _function,
}
NAMES = {
    "set_attribute": "SDK span.set_attribute(), only the last value is kept",
    "add_event": "SDK span.add_event(), in memory, the last 128 are kept",
    "progress": "upstream.progress()",
    "progress_function": "turnscope.progress(), finds the turn itself",
}
TARGETS = {"progress": Target("figure", 0.35)}


def run(*, quick: bool) -> list[Row]:
    """Measure every candidate and return its cost per chunk, then the growth of the journal."""
    rounds = 3 if quick else 9
    count = 50_000 if quick else 200_000
    taken = interleaved(NAMES, rounds, lambda name: in_child("progress", name, count=count))
    rows = [
        Row(
            what=f"per chunk: {NAMES[name]}",
            figure=middle(figures, "ns") / 1000,
            unit="us",
            ratio=ratio(figures, taken[CONTROL], "ns"),
            against="set_attribute",
            target=TARGETS.get(name),
        )
        for name, figures in taken.items()
    ]
    if "progress" in taken:
        growth = max(figures["growth"] for figures in taken["progress"])
        rows.append(Row(f"journal growth by {count} chunks", growth, "bytes", target=Target("figure", 0)))
    return rows
