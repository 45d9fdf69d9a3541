"""What all dashboards have in common: their variables, their links to each other, and how they become JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DashboardLinkType, VariableOption, VariableRefresh, VariableSort

from dashboards.generator.panels import METRICS
from turnscope.metrics.names import METRIC, TURNS_OPEN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Panel

TAG: Final = "turnscope"
"""Dashboards with it are listed in the menu of each."""


def board(name: str, title: str, about: str) -> dashboard.Dashboard:
    """Return an empty dashboard; its address in Grafana is ``/d/turnscope-<name>``."""
    menu = dashboard.DashboardLink("turnscope").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    empty = (
        dashboard.Dashboard(title)
        .uid(f"turnscope-{name}")
        .description(about)
        .tags([TAG])
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
        .readonly()
        .link(menu.keep_time(True))  # noqa: FBT003 - the builder takes it so
        .with_variable(dashboard.DatasourceVariable("metrics").label("Prometheus").type("prometheus"))
        .with_variable(dashboard.DatasourceVariable("logs").label("Loki").type("loki"))
        .with_variable(dashboard.DatasourceVariable("traces").label("Tempo").type("tempo"))
    )
    return empty.with_variable(chooser("job", "Job", TURNS_OPEN))


def chooser(label: str, title: str, metric: str) -> dashboard.QueryVariable:
    """Return a variable whose values are those of a label of *metric*, all of them at first."""
    every = VariableOption(selected=True, text="All", value="$__all")
    return (
        dashboard.QueryVariable(label)
        .label(title)
        .datasource(METRICS)
        .query(f"label_values({METRIC[metric].prometheus}, {label})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)  # noqa: FBT003 - as above
        .include_all(True)  # noqa: FBT003
        .all_value(".*")
        .current(every)
    )


def row(title: str, panels: Sequence[Builder[Panel]], onto: dashboard.Dashboard) -> None:
    """Add a heading and the panels below it."""
    onto.with_row(dashboard.Row(title))
    for panel in panels:
        onto.with_panel(panel)


def as_json(built: dashboard.Dashboard) -> str:
    """Return what is committed: every panel has an id, and the same dashboard is always the same text."""
    model: dict[str, Any] = json.loads(json.dumps(built.build(), cls=JSONEncoder))
    for number, panel in enumerate(model["panels"], start=1):
        panel["id"] = number
        # The builder of tables writes a footer as Grafana had it before 13; none of ours has one.
        panel.get("options", {}).pop("footer", None)
    for variable in model["templating"]["list"]:
        # The builders write what is an interval's own into every variable.
        for setting in ("auto", "auto_count", "auto_min"):
            variable.pop(setting, None)
    return json.dumps(model, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
