"""*Stuck now*: what open turns wait in at this moment, the oldest first, and the way from there to the turn itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import loki
from grafana_foundation_sdk.models.dashboard import ValueMap, ValueMappingResult

from dashboards.generator import records
from dashboards.generator.board import board, chooser, row
from dashboards.generator.panels import (
    LOGS,
    Column,
    Query,
    data_link,
    figure,
    graph,
    listing,
    listing_of_records,
    plain,
    states,
    thresholds,
)
from dashboards.generator.promql import BUDGET, most, or_zero, series, total
from turnscope.metrics.names import PHASES_OLDEST, PHASES_OPEN, TURNS_OPEN, TURNS_STUCK
from turnscope.phases import PHASES

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import dashboard, table

_CHOSEN = {"phase": "$phase"}
_OLDEST = most(series(PHASES_OLDEST, only=_CHOSEN), "phase", "cause")


def stuck_now() -> dashboard.Dashboard:
    """Return the dashboard."""
    shown = board("stuck-now", "turnscope: stuck now", "What open turns wait in at this moment, the oldest first.")
    shown.with_variable(chooser("phase", "Phase", PHASES_OPEN))
    row(
        "Now",
        [
            figure(
                "Stuck turns",
                "Open turns that are past the stuck budget of what they wait in, or whose process is gone.",
                "short",
                or_zero(total(series(TURNS_STUCK)).text),
                thresholds(None, 1),
            ),
            figure(
                "Open turns",
                "Turns that were accepted and have not ended.",
                "short",
                total(series(TURNS_OPEN)).text,
                plain(),
            ),
            figure(
                "Oldest wait",
                "Age of the oldest wait of any turn, also for a person; a stream counts from its last chunk.",
                "s",
                or_zero(most(series(PHASES_OLDEST)).text),
                plain(),
            ),
            figure(
                "Largest share of a budget",
                "The oldest wait of each phase, divided by the budget of the phase; at 100 % it is stuck.",
                "percentunit",
                or_zero(f"max ({_share_of_budget('phase')})"),
                thresholds(0.8, 1),
            ),
            _phases(),
            _turns(),
        ],
        shown,
    )
    row(
        "How it came",
        [
            states(
                "Stuck, by phase",
                "How many turns are stuck in each phase.",
                Query(total(series(TURNS_STUCK, only=_CHOSEN), "phase").text, "{{phase}}"),
            ),
            graph(
                "Oldest wait, by phase",
                "A line that rises with the clock is one turn that waits.",
                "s",
                [Query(most(series(PHASES_OLDEST, only=_CHOSEN), "phase").text, "{{phase}}")],
            ),
            graph(
                "Stuck turns, by cause",
                "The cause is the one that the phase points to; analyze says more of each turn.",
                "short",
                [Query(total(series(TURNS_STUCK, only=_CHOSEN), "cause").text, "{{cause}}")],
                stacked=True,
            ),
            graph(
                "Open turns, by what they wait in",
                "All waits, also those that are young.",
                "short",
                [Query(total(series(PHASES_OPEN, only=_CHOSEN), "phase").text, "{{phase}}")],
                stacked=True,
            ),
        ],
        shown,
    )
    return shown


def _share_of_budget(*by: str) -> str:
    oldest = most(series(PHASES_OLDEST, only=_CHOSEN), *by)
    return f"{oldest.text} / on (phase) group_left () {BUDGET}"


def _phases() -> table.Panel:
    to_the_turns = data_link("Turns that wait in it", records.records_of_phase(records.CELL))
    return listing(
        "Waits, the oldest first",
        "One row for each phase that any turn waits in now. Turn ids are in no metric; follow the link to the turns.",
        [
            _OLDEST.text,
            total(series(PHASES_OPEN, only=_CHOSEN), "phase", "cause").text,
            total(series(TURNS_STUCK, only=_CHOSEN), "phase", "cause").text,
            _share_of_budget("phase", "cause"),
        ],
        {
            "phase": Column("Phase", more={"links": [to_the_turns]}),
            "cause": Column("Cause"),
            "Value #A": Column("Oldest", "s"),
            "Value #B": Column("Waiting"),
            "Value #C": Column("Stuck"),
            "Value #D": Column("Of its budget", "percentunit"),
        },
        "Oldest",
    ).mappings([_waits_for()])


def _turns() -> table.Panel:
    query = loki.Dataquery().ref_id("A").expr(records.OPEN_TURNS).query_type("instant").instant(True)  # noqa: FBT003
    to_trace = data_link("Open the trace", records.in_tempo(records.CELL))
    return listing_of_records(
        "The turns themselves, the oldest wait first",
        "From the heartbeats that the shipper sends every 30 s of each open lane. The spans of a lane come to Tempo "
        "when it has ended: the trace of a turn that hangs shows what was done before.",
        query.datasource(LOGS),
        {
            records.TURN: Column("Turn"),
            records.SESSION: Column("Session"),
            records.ON_LANE: Column("Lane"),
            records.IN_PHASE: Column("Phase"),
            "Value": Column("Age", "s"),
            "Value #A": Column("Age", "s"),
            records.TRACE: Column("Trace", more={"links": [to_trace]}),
        },
        "Age",
    )


def _waits_for() -> ValueMap:
    """Say in the table what an open phase waits for."""
    said = [phase for phase in PHASES if phase.waits_on is not None]
    return ValueMap(
        {
            phase.name: ValueMappingResult(f"{phase.name}: waits for {phase.waits_on}", index=place)
            for place, phase in enumerate(said)
        }
    )
