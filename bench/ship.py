"""What sending costs off the hot path, beside the SDK's own encoding, and whether a mark notices that it goes on.

The control is what every exporter of the SDK does with a span, and only that: ``encode_spans`` and the bytes of it. A
delivery gets from the journal to the same bytes, and keeps a cursor on disk for each batch.
"""

from __future__ import annotations

import importlib
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.measure import DATA, Figures, in_child, interleaved, middle, peak_rss_bytes, ratio
from bench.record import latencies, tail
from bench.table import Row, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONTROL = "encode"
BATCH = 512
MARKS_A_BURST = 20
BURST_EVERY_S = 0.01


@contextmanager
def recorded(turns: int) -> Iterator[Path]:
    """Yield a journal of *turns*, each with two requests and a tool."""
    turnscope = importlib.import_module("turnscope")
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DATA) as name:
        turnscope.configure(name, service="bench", otlp=False)
        for number in range(turns):
            one_turn(turnscope, f"chat-{number % 50}")
        turnscope.shutdown()
        yield Path(name)


def one_turn(turnscope: Any, session: str) -> None:
    """Record a turn as a gateway does."""
    with turnscope.turn(session) as turn:
        for _ in range(2):
            with turn.upstream(model="gpt-5-codex") as request:
                request.headers(200)
                request.event()
                request.item("message")
            with turn.tool("shell"):
                pass


def _read(folder: Path, maker: Any) -> list[Any]:
    """Return what *maker* makes of a journal."""
    source = importlib.import_module("turnscope.ship.batches").Batches(folder, maker)
    items: list[Any] = []
    while batch := source.next(BATCH):
        items += batch
    return items


def _encoder() -> Callable[[list[Any]], bytes]:
    encode = importlib.import_module("opentelemetry.exporter.otlp.proto.common.trace_encoder").encode_spans
    return lambda spans: bytes(encode(spans).SerializeToString())


def encode(*, turns: int) -> Figures:
    """Encode the spans of a journal that are there already, as the SDK does."""
    makers = importlib.import_module("turnscope.ship.makers")
    with recorded(turns) as folder:
        spans, to_bytes = _read(folder, makers.readable_maker()), _encoder()
        began = time.process_time_ns()
        for start in range(0, len(spans), BATCH):
            to_bytes(spans[start : start + BATCH])
        return {"ns": (time.process_time_ns() - began) / len(spans)}


def make(*, turns: int, signal: str = "traces") -> Figures:
    """Read a journal and encode what is sent of it."""
    makers = importlib.import_module("turnscope.ship.makers")
    with recorded(turns) as folder:
        _read(folder, makers.maker_for(signal))  # what is imported is not counted
        began = time.process_time_ns()
        count = len(_read(folder, makers.maker_for(signal)))
        return {"ns": (time.process_time_ns() - began) / count}


def deliver(*, turns: int, signal: str = "traces") -> Figures:
    """Deliver a journal to nowhere: all but the network."""
    makers = importlib.import_module("turnscope.ship.makers")
    delivery = importlib.import_module("turnscope.ship.delivery")
    with recorded(turns) as folder:
        (folder / "ship").mkdir()
        began = time.process_time_ns()
        under_way = delivery.Delivery(folder, signal, makers.maker_for(signal), _nowhere(), pace=delivery.Pace())
        under_way.run(once=True)
        cpu_ns = time.process_time_ns() - began
        return {"ns": cpu_ns / under_way.cursor.sent, "rss": peak_rss_bytes()}


def deliver_records(*, turns: int) -> Figures:
    """Deliver the log records of a journal to nowhere."""
    return deliver(turns=turns, signal="logs")


def _nowhere(*_: object) -> Any:
    """Return an outlet that makes the requests and sends none."""
    makers = importlib.import_module("turnscope.ship.makers")
    receipt = importlib.import_module("turnscope.ship.receipt").Receipt("accepted", "200")

    class Nowhere:
        def send(self, body: bytes) -> object:  # noqa: ARG002 - as one that sends
            return receipt

        def abort(self) -> None:
            """Have nothing to end."""

    return makers.Requests(Nowhere())


def hand_over(*, turns: int) -> Figures:
    """Deliver a journal to an exporter of the user's that encodes as the SDK does, and sends nowhere."""
    shipper_class = importlib.import_module("turnscope.ship.shipper").Shipper
    with recorded(turns) as folder:
        exporter = _exporter()
        importlib.import_module("turnscope.ship.makers")
        began = time.process_time_ns()
        shipper = shipper_class(folder, exporter=exporter, once=True)
        shipper.start()
        shipper.join()
        return {"ns": (time.process_time_ns() - began) / exporter.count}


def _exporter() -> Any:
    export = importlib.import_module("opentelemetry.sdk.trace.export")
    to_bytes = _encoder()

    class Nowhere(export.SpanExporter):  # type: ignore[misc, name-defined]  # the base is looked up at run time
        count = 0

        def export(self, spans: list[Any]) -> object:
            to_bytes(spans)
            self.count += len(spans)
            return export.SpanExportResult.SUCCESS

    return Nowhere()


def _marks(*, count: int, ships: bool) -> Figures:
    """Measure marks that come in bursts, as a gateway's do, while their journal is sent or is not."""
    turnscope = importlib.import_module("turnscope")
    setattr(importlib.import_module("turnscope.ship.makers"), "outlet_for", _nowhere)  # noqa: B010 - a module that is looked up
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DATA) as name:
        turnscope.configure(name, service="bench", otlp=ships)
        time.sleep(1.5)  # the shipper loads what it needs
        taken: list[int] = []
        for _ in range(count // MARKS_A_BURST):
            # Turns that end give the shipper its work; only the marks between them are timed.
            one_turn(turnscope, "chat-17")
            with turnscope.turn("chat-17") as turn:
                taken += latencies(lambda turn=turn: turn.mark("queued", ahead=3), MARKS_A_BURST)  # type: ignore[misc]
            time.sleep(BURST_EVERY_S)
        turnscope.shutdown()
    return tail(taken)


def alone(*, turns: int) -> Figures:
    """Measure marks of a journal that nobody sends."""
    return _marks(count=10 * turns, ships=False)


def shipping(*, turns: int) -> Figures:
    """Measure marks of a journal that is being sent."""
    return _marks(count=10 * turns, ships=True)


CANDIDATES: dict[str, Callable[..., Figures]] = {
    "encode": encode,
    "make": make,
    "deliver": deliver,
    "deliver_records": deliver_records,
    "hand_over": hand_over,
    "alone": alone,
    "shipping": shipping,
}
NAMES = {
    "encode": "cpu a span: the SDK's encoding alone",
    "make": "cpu a span: journal read, encoded",
    "deliver": "cpu a span: delivered, all but the network",
    "deliver_records": "cpu a log record: delivered, all but the network",
    "hand_over": "cpu a span: given to an exporter of the SDK",
}
TARGETS = {
    "deliver": Target("figure", 10),
    "deliver_records": Target("figure", 10),
    "hand_over": Target("ratio", 3),
}
P50_NOISE = Target("ratio", 1.25)


def run(*, quick: bool) -> list[Row]:
    """Measure every candidate; return the costs of an item, then what a mark costs while the journal is sent."""
    rounds, turns = (3, 400) if quick else (7, 2000)
    taken = interleaved(CANDIDATES, rounds, lambda name: in_child("ship", name, turns=turns))
    rows = [
        Row(
            what=NAMES[name],
            figure=middle(taken[name], "ns") / 1000,
            unit="us",
            ratio=ratio(taken[name], taken[CONTROL], "ns"),
            against="encoding",
            target=TARGETS.get(name),
        )
        for name in NAMES
        if name in taken and CONTROL in taken
    ]
    if "alone" not in taken or "shipping" not in taken:
        return rows
    for figure, label in (("p50_ns", "p50"), ("p99_ns", "p99"), ("p999_ns", "p99.9")):
        rows.append(
            Row(
                what=f"mark while the journal is sent, {label}",
                figure=middle(taken["shipping"], figure) / 1000,
                unit="us",
                ratio=ratio(taken["shipping"], taken["alone"], figure),
                against="alone",
                target=P50_NOISE if label == "p50" else None,
                beside={"alone": middle(taken["alone"], figure) / 1000},
            )
        )
    return rows
