"""The kinds of panels that dashboards are made of; each is told its title, its use, its unit and its queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from grafana_foundation_sdk.builders import common, heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.dashboard import DashboardLink, FieldColor, ThresholdsConfig
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

METRICS: Final = DataSourceRef("prometheus", "${metrics}")
LOGS: Final = DataSourceRef("loki", "${logs}")

GRAPH_HEIGHT: Final = 8
TABLE_HEIGHT: Final = 9
FIGURE_HEIGHT: Final = 4


class Query(NamedTuple):
    """A query, and how its series are called in the legend."""

    expr: str
    legend: str = "__auto"


class Column(NamedTuple):
    """A column of a table; ``more`` are settings of Grafana for it, by their id."""

    title: str
    unit: str = ""
    more: Mapping[str, Any] = {}


def thresholds(orange: float | None, red: float) -> ThresholdsConfig:
    """Return green below, orange from *orange* on, red from *red* on."""
    between = [] if orange is None else [Threshold(orange, "orange")]
    steps = [Threshold(None, "green"), *between, Threshold(red, "red")]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def plain() -> ThresholdsConfig:
    """Return one colour, for a figure that is neither good nor bad."""
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps([Threshold(None, "blue")])


def figure(title: str, about: str, unit: str, expr: str, limits: ThresholdsConfig) -> stat.Panel:
    """Return one number, as of now."""
    return (
        stat.Panel()
        .title(title)
        .description(about)
        .datasource(METRICS)
        .unit(unit)
        .thresholds(limits)
        .color_mode(kinds.BigValueColorMode.BACKGROUND)
        .graph_mode(kinds.BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value("none")
        .height(FIGURE_HEIGHT)
        .span(6)
        .with_target(_over_time("A", Query(expr), exemplars=False))
    )


def graph(
    title: str, about: str, unit: str, queries: Sequence[Query], *, exemplars: bool = False, stacked: bool = False
) -> timeseries.Panel:
    """Return lines over time; *stacked*, bars upon each other, for what adds up."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .datasource(METRICS)
        .unit(unit)
        .min(0)
        .height(GRAPH_HEIGHT)
        .span(12)
        .legend(_legend())
        .tooltip(_tooltip())
        .show_points(kinds.VisibilityMode.AUTO)
    )
    if stacked:
        panel.draw_style(kinds.GraphDrawStyle.BARS).fill_opacity(80).line_width(0)
        panel.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL).group("A"))
    for letter, query in zip("ABCDEF", queries, strict=False):
        panel.with_target(_over_time(letter, query, exemplars=exemplars))
    return panel


def states(title: str, about: str, query: Query) -> statetimeline.Panel:
    """Return a bar for each series, red while it is above 0."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(about)
        .datasource(METRICS)
        .unit("short")
        .thresholds(thresholds(None, 1))
        .color_scheme(FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .show_value(kinds.VisibilityMode.AUTO)
        .height(GRAPH_HEIGHT)
        .span(12)
        .legend(_legend())
        .tooltip(_tooltip())
        .with_target(_over_time("A", query, exemplars=False))
    )


def heat(title: str, about: str, unit: str, expr: str) -> heatmap.Panel:
    """Return the buckets of a histogram over time; the points are exemplars, and lead to a trace."""
    color = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64)
    return (
        heatmap.Panel()
        .title(title)
        .description(about)
        .datasource(METRICS)
        .calculate(False)  # noqa: FBT003 - the builder takes it so
        .color(color)
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .unit(unit)
        .height(GRAPH_HEIGHT)
        .span(24)
        .with_target(_over_time("A", Query(expr, "{{le}}"), exemplars=True).format(PromQueryFormat.HEATMAP))
    )


def listing(title: str, about: str, exprs: Sequence[str], columns: Mapping[str, Column], sort_by: str) -> table.Panel:
    """Return a table of what is so now: one row for each combination of labels, a column for each query.

    Args:
        title: Its title.
        about: What it shows.
        exprs: The queries, A, B, C ….
        columns: By label, or by query (``Value #A``; ``Value`` where there is one query only), from left to right.
        sort_by: Title of the column that the largest come first by.
    """
    panel = _table(title, about, columns, sort_by).datasource(METRICS)
    for letter, expr in zip("ABCDEF", exprs, strict=False):
        query = prometheus.Dataquery().ref_id(letter).expr(expr).instant().format(PromQueryFormat.TABLE)
        panel.with_target(query.datasource(METRICS))
    return panel


def listing_of_records(title: str, about: str, query: Any, columns: Mapping[str, Column], sort_by: str) -> table.Panel:
    """Return a table like `listing`, of one query to Loki."""
    return _table(title, about, columns, sort_by).datasource(LOGS).with_target(query)


def link(title: str, url: str) -> DashboardLink:
    """Return a link to an address that opens beside the dashboard."""
    return DashboardLink(title).type(DashboardLinkType.LINK).url(url).target_blank(True)  # noqa: FBT003 - as above


def data_link(title: str, url: str) -> dict[str, object]:
    """Return a link for the cells of a column; ``${__value.raw}`` in the address is what stands in the cell."""
    return {"title": title, "url": url, "targetBlank": True}


def _table(title: str, about: str, columns: Mapping[str, Column], sort_by: str) -> table.Panel:
    panel = (
        table.Panel()
        .title(title)
        .description(about)
        .no_value("none")
        .unit("short")
        .height(TABLE_HEIGHT)
        .span(24)
        .sort_by([common.TableSortByFieldState().display_name(sort_by).desc(True)])  # noqa: FBT003 - as above
        .with_transformation(DataTransformerConfig("merge", options={}))
        .with_transformation(DataTransformerConfig("organize", options=_organized(columns)))
    )
    for column in {column.title: column for column in columns.values()}.values():
        settings = {**({"unit": column.unit} if column.unit else {}), **column.more}
        if settings:
            panel.override_by_name(column.title, [DynamicConfigValue(name, value) for name, value in settings.items()])
    return panel


def _organized(columns: Mapping[str, Column]) -> dict[str, Any]:
    return {
        "excludeByName": {"Time": True},
        "indexByName": {name: place for place, name in enumerate(columns)},
        "renameByName": {name: column.title for name, column in columns.items()},
    }


def _over_time(letter: str, query: Query, *, exemplars: bool) -> prometheus.Dataquery:
    target = prometheus.Dataquery().ref_id(letter).expr(query.expr).legend_format(query.legend).range()
    return target.exemplar(exemplars).datasource(METRICS)


def _legend() -> common.VizLegendOptions:
    legend = common.VizLegendOptions().display_mode(kinds.LegendDisplayMode.TABLE)
    return legend.placement(kinds.LegendPlacement.RIGHT).show_legend(True).calcs(["lastNotNull", "max"])  # noqa: FBT003


def _tooltip() -> common.VizTooltipOptions:
    return common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING)
