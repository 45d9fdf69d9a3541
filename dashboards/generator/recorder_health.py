"""*Recorder health*: what was not recorded, what is not delivered yet, and how much of the disk it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.generator.board import board, row
from dashboards.generator.panels import Column, Query, figure, graph, listing, plain, states, thresholds
from dashboards.generator.promql import JOB, RANGE, increase, most, or_zero, rate, series, total
from turnscope.metrics.names import DELIVERY_ITEMS, DELIVERY_LAG, DROPPED, JOURNAL_SIZE

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import dashboard, stat

_CUT = "redacted|capped"
"""Reasons of what was cut or replaced; the others are of what is not there at all."""

_LATE_S, _VERY_LATE_S = 60, 300
_MUCH_BYTES, _FULL_BYTES = 768 << 20, 1 << 30
"""The default of cap_bytes is 1 GiB."""


def recorder_health() -> dashboard.Dashboard:
    """Return the dashboard."""
    shown = board("recorder-health", "turnscope: recorder health", "Whether the recorder records, and what is sent.")
    row("Now", _figures(), shown)
    row(
        "Recording",
        [
            graph(
                "Drops, by reason",
                "Marks that were not recorded, and values that were cut or replaced (redacted, capped).",
                "short",
                [Query(total(increase(series(DROPPED)), "reason").text, "{{reason}}")],
                stacked=True,
            ),
            graph(
                "Journal",
                "The segments of all processes in a folder; at cap_bytes the oldest go.",
                "bytes",
                [Query(most(series(JOURNAL_SIZE), "job", "instance").text, "{{job}} {{instance}}")],
            ),
            states(
                "Scraped",
                "Processes that Prometheus could not ask: their gauges are missing, and nothing of theirs looks stuck.",
                Query(f'1 - max by (job, instance) (up{{job=~"{JOB}"}})', "{{job}} {{instance}}"),
            ),
            listing(
                "Drops by reason",
                "Over the whole time that the dashboard shows.",
                [total(increase(series(DROPPED), RANGE), "job", "instance", "reason").text],
                {
                    "job": Column("Job"),
                    "instance": Column("Instance"),
                    "reason": Column("Reason"),
                    "Value": Column("Drops"),
                    "Value #A": Column("Drops"),
                },
                "Drops",
            ).span(12),
        ],
        shown,
    )
    row(
        "Delivery",
        [
            graph(
                "Age of the oldest record that was not sent",
                "It stays near 0; a line that rises with the clock is a collector that takes nothing.",
                "s",
                [Query(most(series(DELIVERY_LAG), "signal", "instance").text, "{{signal}} {{instance}}")],
            ),
            graph(
                "Receipts",
                "What the collector said, by item; each try counts.",
                "short",
                [Query(total(increase(series(DELIVERY_ITEMS)), "signal", "receipt").text, "{{signal}} {{receipt}}")],
                stacked=True,
            ),
        ],
        shown,
    )
    return shown


def _figures() -> list[stat.Panel]:
    lost = total(increase(series(DROPPED, without={"reason": _CUT}), RANGE))
    taken = total(rate(series(DELIVERY_ITEMS, only={"receipt": "accepted"})))
    return [
        figure(
            "Marks lost",
            "Over the whole time that the dashboard shows; values that were cut or replaced are not among them.",
            "short",
            or_zero(lost.text),
            thresholds(None, 1),
        ),
        figure(
            "Delivery lag",
            "Age of the oldest record that was not sent.",
            "s",
            or_zero(most(series(DELIVERY_LAG)).text),
            thresholds(_LATE_S, _VERY_LATE_S),
        ),
        figure(
            "Taken at the first try",
            "Share of what was offered to the collector that it took.",
            "percentunit",
            f"{taken.text} / {total(rate(series(DELIVERY_ITEMS))).text}",
            plain(),
        ),
        figure(
            "Largest journal",
            "Orange from three quarters of the default cap on.",
            "bytes",
            most(series(JOURNAL_SIZE)).text,
            thresholds(_MUCH_BYTES, _FULL_BYTES),
        ),
    ]
