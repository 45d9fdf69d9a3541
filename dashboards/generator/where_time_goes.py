"""*Where the time goes*: how long turns and their phases take, by phase, model and cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.generator import records
from dashboards.generator.board import board, chooser, row
from dashboards.generator.panels import Column, Query, graph, heat, link, listing
from dashboards.generator.promql import RANGE, increase, quantile, rate, series, total
from turnscope.metrics.names import PHASE_DURATION, TURN_DURATION

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import dashboard, table, timeseries

    from dashboards.generator.promql import Series

_MODELS = {"model": "$model"}
_CHOSEN = {"phase": "$phase", "model": "$model", "cause": "$cause"}
_SHARES = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))


def where_time_goes() -> dashboard.Dashboard:
    """Return the dashboard."""
    shown = board("where-time-goes", "turnscope: where the time goes", "How long turns and their phases take.")
    for label, title in (("phase", "Phase"), ("model", "Model"), ("cause", "Cause")):
        shown.with_variable(chooser(label, title, PHASE_DURATION))
    row("Turns", [_turns(), _turns_by_model()], shown)
    row(
        "Phases",
        [
            _share_of_time("phase", "A line at 3 means that three turns were in that phase on average."),
            _share_of_time("cause", "The same by the cause that the phases point to."),
            graph(
                "Phases, p95",
                "Only phases that are over; what still waits is on the dashboard Stuck now.",
                "s",
                [Query(quantile(0.95, rate(_buckets()), "phase").text, "{{phase}}")],
                exemplars=True,
            ),
            graph(
                "Phases by model, p95",
                "Of the chosen phases.",
                "s",
                [Query(quantile(0.95, rate(_buckets()), "model").text, "{{model}}")],
                exemplars=True,
            ),
            heat(
                "How long the chosen phases took",
                "Each column is the histogram of one moment. A second band high up is what the quantiles hide.",
                "s",
                total(increase(_buckets()), "le").text,
            ),
            _phases(),
        ],
        shown,
    )
    return shown


def _buckets() -> Series:
    return series(PHASE_DURATION, "_bucket", only=_CHOSEN)


def _turns() -> timeseries.Panel:
    buckets = rate(series(TURN_DURATION, "_bucket", only=_MODELS))
    queries = [Query(quantile(share, buckets).text, name) for share, name in _SHARES]
    return graph("Turns", "From accepted to the end of the turn.", "s", queries, exemplars=True).links(
        [link("Requests of more than two minutes", records.in_tempo(records.SLOW_REQUESTS))]
    )


def _turns_by_model() -> timeseries.Panel:
    buckets = rate(series(TURN_DURATION, "_bucket", only=_MODELS))
    query = Query(quantile(0.95, buckets, "model", "outcome").text, "{{model}}, {{outcome}}")
    return graph("Turns by model and outcome, p95", "From accepted to the end.", "s", [query], exemplars=True)


def _share_of_time(by: str, about: str) -> timeseries.Panel:
    query = Query(total(rate(series(PHASE_DURATION, "_sum", only=_CHOSEN)), by).text, f"{{{{{by}}}}}")
    return graph(f"Time spent, by {by}", about, "short", [query], stacked=True)


def _phases() -> table.Panel:
    by = ("phase", "model", "cause")
    grown = increase(_buckets(), RANGE)
    return listing(
        "Phases by model and cause",
        "Over the whole time that the dashboard shows.",
        [
            *(quantile(share, grown, *by).text for share, _ in _SHARES),
            total(increase(series(PHASE_DURATION, "_count", only=_CHOSEN), RANGE), *by).text,
            total(increase(series(PHASE_DURATION, "_sum", only=_CHOSEN), RANGE), *by).text,
        ],
        {
            "phase": Column("Phase"),
            "model": Column("Model"),
            "cause": Column("Cause"),
            "Value #A": Column("p50", "s"),
            "Value #B": Column("p95", "s"),
            "Value #C": Column("p99", "s"),
            "Value #D": Column("Count"),
            "Value #E": Column("Time in all", "s"),
        },
        "Time in all",
    )
