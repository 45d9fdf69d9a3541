"""What an outage of the collector costs: what is lost, what is sent twice, the memory, and how long the end takes.

A gateway records 100 turns a second while its collector is down, or takes requests and never answers; five minutes
long, or with ``--quick`` a few seconds. Then the collector is back, and everything that was recorded must be there. At
last it fails once more and the gateway ends: that may not wait for it. The peer is the SDK's batch processor with the
standard exporter of the same protocol, as it is by default. All gateways run beside each other, or it took an hour.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from bench.measure import DATA, ROOT, Figures, child_environment, in_child, or_none
from bench.ship import one_turn
from bench.table import Row, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

TURNS_A_SECOND = 100
SPANS_A_TURN = 16
PROTOCOLS = ("http/protobuf", "grpc")
MODES = ("refused", "hang")
LAST_TURNS = 50
MIB = 1 << 20


class Collector:
    """The collector of one gateway, in a process of its own."""

    def __init__(self, protocol: str, mode: str) -> None:
        command = [sys.executable, "-m", "bench.collector", protocol, mode]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=child_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.url = self._answer()

    def tell(self, word: str) -> dict[str, int]:
        """Tell it to ``heal``, to ``fail`` or to ``count``, and return what it has taken so far."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        counts: dict[str, int] = orjson.loads(self._answer())
        return counts

    def end(self) -> None:
        """Have it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


class Gateway(NamedTuple):
    """What records: one turn, the end, and who sends what is left after it."""

    turn: Callable[[], None]
    shutdown: Callable[[], None]
    send_rest: Callable[[], None]


@contextmanager
def ours(protocol: str) -> Iterator[Gateway]:  # noqa: ARG001 - a gateway's signature; the environment says it, too
    """Yield a gateway that records into a journal, which is sent."""
    turnscope = importlib.import_module("turnscope")
    shipper = importlib.import_module("turnscope.ship.shipper")
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DATA) as name:
        turnscope.configure(name, service="bench", otlp=True)

        def send_rest() -> None:
            rest = shipper.Shipper(Path(name), once=True)
            rest.start()
            rest.join()

        yield Gateway(lambda: one_turn(turnscope, "chat-17"), turnscope.shutdown, send_rest)


@contextmanager
def batch_processor(protocol: str) -> Iterator[Gateway]:
    """Yield a gateway with as many spans of the SDK, and the batch processor."""
    trace = importlib.import_module("opentelemetry.sdk.trace")
    export = importlib.import_module("opentelemetry.sdk.trace.export")
    kind = "http" if protocol == "http/protobuf" else "grpc"
    exporter = importlib.import_module(f"opentelemetry.exporter.otlp.proto.{kind}.trace_exporter").OTLPSpanExporter()
    provider = trace.TracerProvider()
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("bench")

    def turn() -> None:
        with tracer.start_as_current_span("invoke_agent", attributes={"session.id": "chat-17"}):
            for _ in range(SPANS_A_TURN - 1):
                with tracer.start_as_current_span("chat", attributes={"model": "gpt-5-codex", "step": 1}):
                    pass

    yield Gateway(turn, provider.shutdown, lambda: None)


GATEWAYS: dict[str, Callable[[str], Any]] = {"ours": ours, "sdk": batch_processor}


def _go(gateway: str, *, protocol: str, mode: str, seconds: float, patience_s: float, timeout_s: float) -> Figures:
    """Go through an outage of *seconds* and a second one that lasts until the end."""
    collector = Collector(protocol, mode)
    os.environ |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    os.environ |= {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    os.environ["OTEL_EXPORTER_OTLP_TIMEOUT"] = str(timeout_s)
    try:
        with GATEWAYS[gateway](protocol) as under_test:
            record(under_test, 2)  # what is imported is not counted
            first = memory_bytes()
            turns = record(under_test, seconds / 2)
            second = memory_bytes()
            turns += record(under_test, seconds / 2)
            third = memory_bytes()
            collector.tell("heal")
            expected = (turns + 2 * TURNS_A_SECOND) * SPANS_A_TURN
            settle(collector, expected, patience_s)
            collector.tell("fail")
            for _ in range(LAST_TURNS):
                under_test.turn()
            time.sleep(2)  # a request is under way
            began = time.monotonic()
            under_test.shutdown()
            shutdown_s = time.monotonic() - began
            collector.tell("heal")
            under_test.send_rest()
            expected += LAST_TURNS * SPANS_A_TURN
            counts = settle(collector, expected, patience_s / 2)
    finally:
        collector.end()
    return {
        "spans": expected,
        "lost": expected - counts["spans"],
        "twice": counts["twice"],
        "shutdown_s": shutdown_s,
        "first": first,
        "middle": second,
        "last": third,
    }


def record(gateway: Gateway, seconds: float) -> int:
    """Record turns for *seconds* and return how many: 100 a second, made up for where the machine was late."""
    began = time.monotonic()
    wanted = round(seconds * TURNS_A_SECOND)
    for number in range(wanted):
        gateway.turn()
        time.sleep(max(0.0, began + number / TURNS_A_SECOND - time.monotonic()))
    return wanted


def settle(collector: Collector, expected: int, patience_s: float) -> dict[str, int]:
    """Wait until the collector has everything, or has got nothing for *patience_s*; return what it has."""
    until = time.monotonic() + patience_s
    counts = collector.tell("count")
    while counts["spans"] < expected and time.monotonic() < until:
        time.sleep(0.5)
        before, counts = counts, collector.tell("count")
        if counts["spans"] > before["spans"]:
            until = time.monotonic() + patience_s
    return counts


def memory_bytes() -> int:
    """Return the memory of this process that is no file's: the segments that are mapped are on disk."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise LookupError("/proc/self/status has no RssAnon; the bench needs Linux")


CANDIDATES: dict[str, Callable[..., Figures]] = {name: partial(_go, name) for name in GATEWAYS}

NO_LOSS = Target("figure", 0)
FLAT = Target("figure", 4)
SOON = Target("figure", 0.5)


def run(*, quick: bool) -> list[Row]:
    """Go through every outage with both, all beside each other, and return what became of it."""
    # A wait between two tries is 30 seconds at most, and after a short outage it is not that long yet.
    scale = (
        {"seconds": 5, "patience_s": 8, "timeout_s": 3}
        if quick
        else {"seconds": 300, "patience_s": 60, "timeout_s": 10}
    )
    kinds = [(gateway, protocol, mode) for protocol in PROTOCOLS for mode in MODES for gateway in GATEWAYS]
    with ThreadPoolExecutor(len(kinds)) as pool:
        taken = dict(zip(kinds, pool.map(partial(_one, scale=scale), kinds), strict=True))
    rows: list[Row] = []
    for protocol, mode in ((protocol, mode) for protocol in PROTOCOLS for mode in MODES):
        mine, theirs = taken["ours", protocol, mode], taken["sdk", protocol, mode]
        if mine is not None and theirs is not None:
            rows += _rows(f"{protocol.partition('/')[0]}, {mode}", mine, theirs)
    return rows


def _one(kind: tuple[str, str, str], *, scale: Mapping[str, float]) -> Figures | None:
    gateway, protocol, mode = kind
    arguments = {"protocol": protocol, "mode": mode, **scale}
    return or_none(lambda name: in_child("outage", name, environment=None, **arguments), gateway)


def _rows(what: str, mine: Figures, theirs: Figures) -> list[Row]:
    memory = {f"{who}{name}": one[name] / MIB for who, one in (("", mine), ("SDK ", theirs)) for name in _MEMORY}
    lost, grown = (_share(mine), _share(theirs)), (_growth(mine), _growth(theirs))
    twice, ends = (mine["twice"], theirs["twice"]), (mine["shutdown_s"], theirs["shutdown_s"])
    beside = {"SDK": lost[1], "spans": mine["spans"]}
    return [
        Row(f"{what}: lost", lost[0], "%", _ratio(*lost), "SDK", NO_LOSS, beside),
        Row(f"{what}: sent twice", twice[0], "spans", None, "", NO_LOSS, {"SDK": twice[1]}),
        Row(f"{what}: memory grown", grown[0], "MiB", None, "", FLAT, memory),
        Row(f"{what}: shutdown in an outage", ends[0], "s", _ratio(*ends), "SDK", SOON, {"SDK": ends[1]}),
    ]


_MEMORY = ("first", "middle", "last")


def _share(one: Figures) -> float:
    return 100 * one["lost"] / one["spans"]


def _growth(one: Figures) -> float:
    return max(0.0, (one["last"] - one["first"]) / MIB)


def _ratio(mine: float, theirs: float) -> float | None:
    return mine / theirs if theirs else None
