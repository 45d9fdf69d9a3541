"""A recorder on stepped clocks whose metrics are read by hand, and what a scrape or a collector got of real ones."""

from __future__ import annotations

import contextlib
import urllib.request
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from prometheus_client.parser import text_string_to_metric_families

from journal_kit import SMALL_BYTES, Clocks, stepped
from turnscope.metrics.instruments import Instruments
from turnscope.metrics.own import OwnTurns
from turnscope.recorder import Recorder, activate
from turnscope.testing import counting_ids
from turnscope.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from turnscope.metrics.source import Source

KILLED = (
    "import os, pathlib, signal, time, turnscope\n"
    "from turnscope.life import read_life\n"
    "recorder = turnscope.configure('.', otlp=False)\n"
    "turn = turnscope.accept('s', turn_id='t')\n"
    "turn.mark('started')\n"
    "turn.mark('upstream_sent', '1', model='large')\n"
    "began_ns = time.monotonic_ns()\n"
    "while read_life(pathlib.Path(f'{recorder.journal.process_id}.life')).pulse_mono_ns < began_ns + 6 * 10**8:\n"
    "    time.sleep(0.01)\n"
    "os.kill(os.getpid(), signal.SIGKILL)\n"
)
LOST = ("process_lost", "upstream_sent")
"""The labels of what that process leaves open."""

Figures = dict[tuple[str, ...], float]
"""Label values, in the order of the labels' names, -> value; of a histogram, how often it was recorded."""


class Meters:
    """Instruments that are collected by hand."""

    def __init__(self, source: Source | None = None) -> None:
        self._reader = InMemoryMetricReader()
        self.instruments = Instruments(MeterProvider([self._reader], shutdown_on_exit=False).get_meter("turnscope"))
        self.instruments.source = source

    def points(self, name: str) -> list[Any]:
        """Return the data points of a metric."""
        data = self._reader.get_metrics_data()
        found = [] if data is None else data.resource_metrics[0].scope_metrics[0].metrics
        return [point for metric in found if metric.name == name for point in metric.data.data_points]

    def figures(self, name: str) -> Figures:
        return {_values(point.attributes): _value(point) for point in self.points(name)}


class Stage(Meters):
    """A recorder whose clocks stand still until `run`, with the metrics of its process."""

    def __init__(self, folder: Path, budgets: dict[str, tuple[float, float]] | None = None) -> None:
        self.recorder: Recorder
        self.clocks = Clocks()
        self.journal = stepped(
            folder,
            self.clocks,
            budgets=budgets,
            segment_bytes=SMALL_BYTES,
            carry=lambda: self.recorder.carry(),  # noqa: PLW0108 - the recorder comes after
        )
        self.recorder = Recorder(
            self.journal,
            wall_ns=lambda: self.clocks.wall,
            mono_ns=lambda: self.clocks.mono,
            new_id=counting_ids(),
            folder=folder,
        )
        self.watch = Watch(self.recorder, budgets or {})
        self.journal.on_pulse.append(self.watch.check)
        self.source = OwnTurns(self.recorder, self.journal, self.watch)
        super().__init__(self.source)

    def run(self, seconds: float) -> None:
        """Let *seconds* pass with a pulse each."""
        for _ in range(round(seconds)):
            self.clocks.run(1)
            self.journal.pulse()

    def look(self) -> None:
        """Have what was recorded read."""
        self.source.look(self.instruments.record)


@contextlib.contextmanager
def stage(folder: Path, budgets: dict[str, tuple[float, float]] | None = None) -> Iterator[Stage]:
    set_up = Stage(folder, budgets)
    before = activate(set_up.recorder)
    try:
        yield set_up
    finally:
        set_up.recorder.close()
        activate(before)


def _values(attributes: Any) -> tuple[str, ...]:
    return tuple(str(value) for _, value in sorted((attributes or {}).items()))


def _value(point: Any) -> float:
    return float(point.count if isinstance(point, HistogramDataPoint) else point.value)


class Scrape:
    """What an endpoint answered."""

    def __init__(self, address: object, accept: str = "text/plain") -> None:
        request = urllib.request.Request(f"http://{address}/metrics", headers={"accept": accept})
        with urllib.request.urlopen(request, timeout=10) as response:
            self.text = response.read().decode()
        self.families = {family.name: family for family in text_string_to_metric_families(self.text)}

    def series(self, name: str) -> Figures:
        """Return the samples of *name*, as it is asked for in Prometheus."""
        samples = [sample for family in self.families.values() for sample in family.samples if sample.name == name]
        return {_values(sample.labels): sample.value for sample in samples}

    def names(self) -> set[str]:
        """Return the names of the series, without what a histogram puts behind its name."""
        names = {sample.name for family in self.families.values() for sample in family.samples}
        return {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in names}


def otlp_points(requests: list[Any], name: str) -> list[Any]:
    """Return the data points of a metric in export requests, the latest last."""
    metrics = [m for r in requests for part in r.resource_metrics for s in part.scope_metrics for m in s.metrics]
    return [point for m in metrics if m.name == name for point in getattr(m, m.WhichOneof("data")).data_points]


def otlp_labels(point: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in point.attributes}
