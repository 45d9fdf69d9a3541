"""The instruments of one meter, and what they are fed with.

Gauges are asked when somebody collects; what is over is recorded when it was read from the journal. A meter gives the
same instrument whenever it is asked for the name again, so the instruments of a provider are made once, and who
records now is their source.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from opentelemetry.metrics import Observation
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from turnscope._guard import guard
from turnscope._otel import span_id
from turnscope.drops import DROPS
from turnscope.metrics import names
from turnscope.metrics.source import journal_bytes
from turnscope.process import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.context import Context
    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider

    from turnscope.metrics.ledger import Over
    from turnscope.metrics.source import Snapshot, Source
    from turnscope.ship.shipper import Shipper

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class Instruments:
    """Every metric of `turnscope.metrics.names`, on one meter.

    Attributes:
        source: What the figures are drawn from; None: the gauges say nothing.
        shipper: Whose deliveries are told, if the journal is sent.
    """

    def __init__(self, meter: Meter) -> None:
        self.source: Source | None = None
        self.shipper: Shipper | None = None
        self._models: set[str] = set()
        self._observe(meter, names.PHASES_OPEN, self._phases_open)
        self._observe(meter, names.PHASES_OLDEST, self._phases_oldest)
        self._observe(meter, names.TURNS_OPEN, self._turns_open)
        self._observe(meter, names.TURNS_STUCK, self._turns_stuck)
        self._observe(meter, names.DROPPED, self._drops)
        self._observe(meter, names.JOURNAL_SIZE, self._journal_size)
        self._observe(meter, names.DELIVERY_LAG, self._delivery_lag)
        self._observe(meter, names.DELIVERY_ITEMS, self._delivery_items)
        turns = names.METRIC[names.TURNS]
        self._turns = meter.create_counter(turns.name, turns.unit, turns.about)
        self._durations = {
            name: meter.create_histogram(
                name,
                names.METRIC[name].unit,
                names.METRIC[name].about,
                explicit_bucket_boundaries_advisory=names.BUCKETS_S,
            )
            for name in (names.TURN_DURATION, names.PHASE_DURATION)
        }

    def record(self, over: Iterable[Over]) -> None:
        """Record what is over: turns in counter and histogram, waits in their histogram."""
        for one in over:
            labels = {"model": self._model(one.model)}
            context = _context_of(one)
            if one.outcome:
                labels["outcome"] = one.outcome
                self._turns.add(1, labels | {"cause": one.cause}, context)
                duration = self._durations[names.TURN_DURATION]
            else:
                labels |= {"phase": one.phase, "cause": one.cause}
                duration = self._durations[names.PHASE_DURATION]
            if one.seconds is not None:
                duration.record(one.seconds, labels, context)

    def _model(self, model: str) -> str:
        """Return the label of a model: the first few have their own, so that the number of series stays bounded."""
        if model == names.NONE or model in self._models:
            return model
        if len(self._models) >= names.MOST_MODELS:
            return names.OTHER
        self._models.add(model)
        return model

    def _observe(self, meter: Meter, name: str, look: Callable[[Source], list[Observation]]) -> None:
        metric = names.METRIC[name]

        def observe(_options: CallbackOptions) -> list[Observation]:
            with guard:
                return [] if self.source is None else look(self.source)
            return []

        create: Any = meter.create_observable_gauge if metric.instrument == "gauge" else meter.create_observable_counter
        create(name, [observe], metric.unit, metric.about)

    def _phases_open(self, source: Source) -> list[Observation]:
        return [Observation(count, labels) for labels, count, _ in _phases(source.snapshot())]

    def _phases_oldest(self, source: Source) -> list[Observation]:
        return [Observation(oldest_s, labels) for labels, _, oldest_s in _phases(source.snapshot())]

    def _turns_open(self, source: Source) -> list[Observation]:
        snapshot = source.snapshot()
        return [] if snapshot is None else [Observation(snapshot.turns)]

    def _turns_stuck(self, source: Source) -> list[Observation]:
        snapshot = source.snapshot()
        stuck = {} if snapshot is None else snapshot.stuck()
        return [Observation(count, {"phase": phase, "cause": cause}) for (phase, cause), count in stuck.items()]

    def _drops(self, source: Source) -> list[Observation]:
        # With those that are 0: a counter that begins at 1 has not risen, for who asks how much it rose.
        drops = source.drops()
        return [Observation(drops.get(reason, 0), {"reason": reason}) for reason in DROPS]

    def _journal_size(self, source: Source) -> list[Observation]:
        return [] if source.folder is None else [Observation(journal_bytes(source.folder))]

    def _delivery_lag(self, _source: Source) -> list[Observation]:
        if self.shipper is None:
            return []
        lags = self.shipper.unsent_since_ns().items()
        now_ns = time.time_ns()
        return [
            Observation(0.0 if since_ns is None else max(0, now_ns - since_ns) / 1e9, {"signal": signal})
            for signal, since_ns in lags
        ]

    def _delivery_items(self, _source: Source) -> list[Observation]:
        standings = () if self.shipper is None else self.shipper.standings()
        return [
            Observation(standing.receipts.get(receipt, 0), {"signal": standing.signal, "receipt": receipt})
            for standing in standings
            for receipt in names.RECEIPTS
        ]


_made: WeakKeyDictionary[MeterProvider, Instruments] = WeakKeyDictionary()


def instruments_of(provider: MeterProvider) -> Instruments:
    """Return the instruments of *provider*, the same each time."""
    made = _made.get(provider)
    if made is None:
        made = _made[provider] = Instruments(provider.get_meter(names.SCOPE, VERSION))
    return made


def _phases(snapshot: Snapshot | None) -> list[tuple[dict[str, str], int, float]]:
    found = {} if snapshot is None else snapshot.by_phase()
    return [({"phase": phase, "cause": cause}, count, age_s) for (phase, cause), (count, age_s) in found.items()]


def _context_of(over: Over) -> Context | None:
    """Return a context in which the span is current that shows what is over: an exemplar takes its ids from there."""
    if over.span is None:
        return None
    span = SpanContext(int(over.trace_id, 16), int(span_id(*over.span), 16), is_remote=False, trace_flags=_SAMPLED)
    return set_span_in_context(NonRecordingSpan(span))
