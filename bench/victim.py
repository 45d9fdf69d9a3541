"""The process that gets killed: records flat out and says through shared memory what it has recorded.

`python -m bench.victim RECORDER FOLDER PER_SECOND`. Eight threads record numbered marks (or spans), one phase
stays open in the main thread; a number is acknowledged in the file ``acknowledged`` right after the call that
recorded it came back.
"""

from __future__ import annotations

import importlib
import mmap
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

THREADS = 8
BOARD_BYTES = 4096
"""One u64 a thread: how far it got. The page outlives the process."""

Record = Callable[[int, int], None]
"""Records number *n* of thread *k*."""


def board(folder: Path) -> memoryview:
    """Return the counters of the threads, shared with whoever maps the same file."""
    with (folder / "acknowledged").open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), BOARD_BYTES)).cast("Q")


def turnscope_recorder(folder: Path) -> Record:
    """Return a recorder of marks in our journal; a phase of the turn ``open`` stays open."""
    turnscope = importlib.import_module("turnscope")
    turnscope.configure(folder / "traces", service="victim")
    turns = [turnscope.turn("busy", turn_id=f"busy-{thread}").__enter__() for thread in range(THREADS)]
    turnscope.turn("open", turn_id="open").__enter__()
    turnscope.upstream(model="gpt-5").__enter__()

    def record(thread: int, number: int) -> None:
        turns[thread].mark("first_item", "upstream:1", records=number)

    return record


def batch_recorder(folder: Path) -> Record:
    """Return a recorder of SDK spans: batch processor, an exporter that writes a line a span and flushes."""
    trace = importlib.import_module("opentelemetry.sdk.trace")
    export = importlib.import_module("opentelemetry.sdk.trace.export")
    file = (folder / "spans.jsonl").open("ab")

    class ToFile(export.SpanExporter):  # type: ignore[misc, name-defined]  # the base is looked up at run time
        def export(self, spans: Any) -> object:
            file.writelines(orjson.dumps(dict(span.attributes or {})) + b"\n" for span in spans)
            file.flush()
            return export.SpanExportResult.SUCCESS

    provider = trace.TracerProvider()
    provider.add_span_processor(export.BatchSpanProcessor(ToFile()))
    tracer = provider.get_tracer("victim")
    tracer.start_span("open", attributes={"thread": -1, "records": 0})

    def record(thread: int, number: int) -> None:
        with tracer.start_as_current_span("first_item", attributes={"thread": thread, "records": number}):
            pass

    return record


RECORDERS: dict[str, Callable[[Path], Record]] = {"turnscope": turnscope_recorder, "batch": batch_recorder}


def run(record: Record, acknowledged: memoryview, thread: int, pause_s: float) -> None:
    """Record and acknowledge number after number until the process is killed."""
    number = 0
    while True:
        number += 1
        record(thread, number)
        acknowledged[thread] = number
        if pause_s:
            time.sleep(pause_s)


def main(recorder: str, folder: str, per_second: str) -> None:
    """Record for ever; *per_second* is over all threads, 0 for flat out."""
    record = RECORDERS[recorder](Path(folder))
    acknowledged = board(Path(folder))
    pause_s = THREADS / float(per_second) if float(per_second) else 0.0
    for thread in range(1, THREADS):
        threading.Thread(target=run, args=(record, acknowledged, thread, pause_s), daemon=True).start()
    run(record, acknowledged, 0, pause_s)


if __name__ == "__main__":
    main(*sys.argv[1:])
