"""Every metric in one table, with its labels and what they may say: the docs, the dashboards and the alerts take them from here.

No label is an id, and each has a bounded number of values. This module imports nothing but the vocabulary.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from turnscope.attributes import ERROR_KINDS
from turnscope.drops import DROPS
from turnscope.phases import CAUSES, PHASES

Instrument = Literal["gauge", "counter", "histogram"]

SCOPE: Final = "turnscope"
"""Name of the meter; in Prometheus the label ``otel_scope_name``."""

NONE: Final = "none"
"""Stands in a label for what there is not: a phase without a cause, a turn that asked no model."""

OTHER: Final = "other"
"""Stands for the models beyond `MOST_MODELS`."""

MOST_MODELS: Final = 20
LONGEST_MODEL: Final = 64
"""A longer name is cut."""


class Metric(NamedTuple):
    """One metric. ``prometheus`` is its name there: with the unit, and ``_total`` behind a counter."""

    name: str
    instrument: Instrument
    unit: str
    labels: tuple[str, ...]
    prometheus: str
    about: str


class Label(NamedTuple):
    """A label; ``values`` are all that it may have, empty where they are the gateway's own (and capped)."""

    name: str
    values: tuple[str, ...]
    about: str


PHASES_OPEN: Final = "turnscope.phases.open"
PHASES_OLDEST: Final = "turnscope.phases.oldest"
TURNS_OPEN: Final = "turnscope.turns.open"
TURNS_STUCK: Final = "turnscope.turns.stuck"
TURNS: Final = "turnscope.turns"
TURN_DURATION: Final = "turnscope.turn.duration"
PHASE_DURATION: Final = "turnscope.phase.duration"
DROPPED: Final = "turnscope.drops"
JOURNAL_SIZE: Final = "turnscope.journal.size"
DELIVERY_LAG: Final = "turnscope.delivery.lag"
DELIVERY_ITEMS: Final = "turnscope.delivery.items"

# One row a line: tables that are read down their columns.
# fmt: off
METRICS: Final = (
    Metric(PHASES_OPEN, "gauge", "{phase}", ("phase", "cause"), "turnscope_phases_open", "what open turns wait in"),
    Metric(PHASES_OLDEST, "gauge", "s", ("phase", "cause"), "turnscope_phases_oldest_seconds", "age of the oldest of these waits; a stream's is counted from its last chunk"),
    Metric(TURNS_OPEN, "gauge", "{turn}", (), "turnscope_turns_open", "turns that were accepted and have not ended"),
    Metric(TURNS_STUCK, "gauge", "{turn}", ("phase", "cause"), "turnscope_turns_stuck", "open turns past the stuck budget of what they wait in, or whose process is gone"),
    Metric(TURNS, "counter", "{turn}", ("outcome", "cause", "model"), "turnscope_turns_total", "turns that have ended"),
    Metric(TURN_DURATION, "histogram", "s", ("outcome", "model"), "turnscope_turn_duration_seconds", "from accepted to the end of the turn"),
    Metric(PHASE_DURATION, "histogram", "s", ("phase", "cause", "model"), "turnscope_phase_duration_seconds", "how long a turn waited in a phase that is over"),
    Metric(DROPPED, "counter", "{mark}", ("reason",), "turnscope_drops_total", "what was not recorded, or not as it was given"),
    Metric(JOURNAL_SIZE, "gauge", "By", (), "turnscope_journal_size_bytes", "the segments of the journal, of all processes; what cap_bytes caps"),
    Metric(DELIVERY_LAG, "gauge", "s", ("signal",), "turnscope_delivery_lag_seconds", "age of the oldest record that was not sent yet; 0 when none is left"),
    Metric(DELIVERY_ITEMS, "counter", "{item}", ("signal", "receipt"), "turnscope_delivery_items_total", "spans and log records by what the collector said to them"),
)

RECEIPTS: Final = ("accepted", "rejected", "refused", "retried")
"""What the collector said: took it; left it out of a batch that it took; will not have it, so that it was passed by; or nothing final, so that it is sent again. Each try counts."""

LABELS: Final = (
    Label("phase", tuple(phase.name for phase in PHASES), "what is waited in"),
    Label("cause", (*CAUSES, NONE), "of a phase, the cause that it points to; of a turn, that of its error; process_lost where its process is gone"),
    Label("outcome", tuple(phase.name for phase in PHASES if phase.lane == "turn" and phase.terminal), "how the turn ended"),
    Label("model", (), f"the model that was asked for, cut to {LONGEST_MODEL} characters; {OTHER} beyond the first {MOST_MODELS}"),
    Label("reason", DROPS, "why it was dropped"),
    Label("signal", ("traces", "logs"), "what is sent"),
    Label("receipt", RECEIPTS, "what the collector said; each try counts"),
)
# fmt: on

BUCKETS_S: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 180, 300, 600, 1800, 3600,
)  # fmt: skip
"""Bounds of both histograms, seconds: up to an hour, with the budgets of most phases among them."""

METRIC: Final = {metric.name: metric for metric in METRICS}
"""Metric by name."""

_CAUSE_OF_ERROR: Final = {kind.name: kind.cause for kind in ERROR_KINDS}
_CAUSE_OF_PHASE: Final = {phase.name: phase.cause or NONE for phase in PHASES}


def cause_of_phase(phase: str) -> str:
    """Return the label ``cause`` of a phase, open or over."""
    return _CAUSE_OF_PHASE.get(phase, NONE)


def cause_of_end(outcome: str, error_type: object) -> str:
    """Return the label ``cause`` of a turn that ended: `NONE` unless it failed or says why."""
    if outcome == "completed":
        return NONE
    known = _CAUSE_OF_ERROR.get(error_type) if isinstance(error_type, str) else None
    if known is not None and error_type != "cancelled":
        return known
    return "unknown" if outcome == "failed" else NONE
