"""*Causes*: what turns come to, and why, over time, by version and by model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.generator import records
from dashboards.generator.board import board, chooser, row
from dashboards.generator.panels import Column, Query, graph, link, listing, states
from dashboards.generator.promql import RANGE, VERSION, increase, rate, series, total, with_version
from turnscope.metrics.names import NONE, TURNS, TURNS_STUCK

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import dashboard, table, timeseries

_MODELS = {"model": "$model"}
_NO_CAUSE = {"cause": NONE}


def causes() -> dashboard.Dashboard:
    """Return the dashboard."""
    shown = board("causes", "turnscope: causes", "What turns come to, and why, by version and by model.")
    shown.with_variable(chooser("model", "Model", TURNS))
    every = series(TURNS, only=_MODELS)
    blamed = series(TURNS, only=_MODELS, without=_NO_CAUSE)
    share = f"{total(rate(blamed), 'model').text} / {total(rate(every), 'model').text}"
    row(
        "Over time",
        [
            graph(
                "Ended turns, by outcome",
                "All turns that have ended.",
                "short",
                [Query(total(increase(every), "outcome").text, "{{outcome}}")],
                stacked=True,
            ),
            graph(
                "Ended turns that went wrong, by cause",
                "Turns that ended with an error. One that still hangs is in none of the panels that count ends.",
                "short",
                [Query(total(increase(blamed), "cause").text, "{{cause}}")],
                stacked=True,
            ).links([link("Turns that failed", records.in_tempo(records.FAILED_TURNS))]),
            graph(
                "Share of turns that went wrong, by model",
                "Of the turns that ended.",
                "percentunit",
                [Query(share, "{{model}}")],
            ),
            states(
                "Stuck, by cause",
                "How many turns are stuck at each moment.",
                Query(total(series(TURNS_STUCK), "cause").text, "{{cause}}"),
            ),
        ],
        shown,
    )
    row("By version and model", [_by_version(), _share_by_version(), _by_model()], shown)
    return shown


def _by_version() -> timeseries.Panel:
    blamed = with_version(increase(series(TURNS, only=_MODELS, without=_NO_CAUSE)))
    query = Query(total(blamed, "cause", VERSION).text, f"{{{{cause}}}}, {{{{{VERSION}}}}}")
    about = "The version is service.version of the resource; without one, all stand together."
    return graph("Turns that went wrong, by cause and version", about, "short", [query], stacked=True)


def _share_by_version() -> timeseries.Panel:
    blamed = total(with_version(rate(series(TURNS, only=_MODELS, without=_NO_CAUSE))), VERSION)
    every = total(with_version(rate(series(TURNS, only=_MODELS))), VERSION)
    query = Query(f"{blamed.text} / {every.text}", f"{{{{{VERSION}}}}}")
    about = "A step that comes with a version is the version's."
    return graph("Share of turns that went wrong, by version", about, "percentunit", [query])


def _by_model() -> table.Panel:
    ended = with_version(increase(series(TURNS, only=_MODELS), RANGE))
    return listing(
        "Ended turns by outcome, cause, model and version",
        "Over the whole time that the dashboard shows.",
        [total(ended, "outcome", "cause", "model", VERSION).text],
        {
            "outcome": Column("Outcome"),
            "cause": Column("Cause"),
            "model": Column("Model"),
            VERSION: Column("Version"),
            "Value": Column("Turns", more={"decimals": 0}),
            "Value #A": Column("Turns", more={"decimals": 0}),
        },
        "Turns",
    )
