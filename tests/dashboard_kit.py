"""What stands below dashboards/, and the names in its queries, by who would have to emit them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote

import yaml

from turnscope.metrics.names import LABELS, METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]
DASHBOARDS: Final = ROOT / "dashboards"
BOARDS: Final = tuple(sorted((DASHBOARDS / "grafana").glob("*.json")))
RULES: Final = tuple(DASHBOARDS / "prometheus" / name for name in ("budgets.yml", "alerts.yml"))

_PARTS: Final = {"histogram": ("_bucket", "_sum", "_count")}
SERIES: Final = {
    f"{metric.prometheus}{part}": metric for metric in METRICS for part in _PARTS.get(metric.instrument, ("",))
}
"""What a scrape brings, by its name."""

RECORDED: Final = frozenset(
    rule["record"]
    for path in RULES
    for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
    for rule in group["rules"]
    if "record" in rule
)
OF_PROMETHEUS: Final = frozenset({"up", "target_info", "ALERTS"})
LABEL_VALUES: Final = {label.name: label.values for label in LABELS}
OTHER_LABELS: Final = frozenset({"job", "instance", "le", "service_version", "alertname", "alertstate"})

_SERIES_NAME: Final = re.compile(r"\bturnscope[_:][\w:]+")
_CONDITION: Final = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING: Final = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([\w\s,]*)\)")


class Target(NamedTuple):
    """One query of a panel."""

    board: str
    panel: str
    datasource: str
    expr: str

    def __str__(self) -> str:
        return f"{self.board}: {self.panel}"


def load(path: Path) -> dict[str, Any]:
    """Return a dashboard."""
    loaded: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return loaded


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the panels of a dashboard without its headings."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def targets(datasource: str) -> list[Target]:
    """Return every query of every dashboard to one kind of data source."""
    found = (
        Target(path.stem, panel["title"], target["datasource"]["type"], target["expr"])
        for path in BOARDS
        for panel in panels(load(path))
        for target in panel["targets"]
    )
    return [target for target in found if target.datasource == datasource]


def links(value: Any) -> Iterator[str]:
    """Yield every address in a dashboard as it reads: without percent signs and without backslashes."""
    if isinstance(value, dict):
        if isinstance(value.get("url"), str) and value["url"]:
            yield unquote(value["url"]).replace('\\"', '"')
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from links(item)


def rules() -> list[dict[str, Any]]:
    """Return every rule for Prometheus."""
    return [
        rule for path in RULES for group in yaml.safe_load(path.read_text("utf-8"))["groups"] for rule in group["rules"]
    ]


def unknown_in_promql(text: str) -> list[str]:
    """Return the names and values in a query for Prometheus that nothing emits."""
    unknown = [
        name
        for name in _SERIES_NAME.findall(text)
        if name not in SERIES and name not in RECORDED and name not in OF_PROMETHEUS
    ]
    labels = LABEL_VALUES.keys() | OTHER_LABELS
    grouped = [label.strip() for found in _GROUPING.findall(text) for label in found.split(",") if label.strip()]
    unknown += [label for label in grouped if label not in labels]
    for label, pattern in _CONDITION.findall(text):
        known = LABEL_VALUES.get(label, ())
        if label not in labels:
            unknown.append(label)
        elif known and not pattern.startswith("$"):
            unknown += [f"{label}={value}" for value in pattern.split("|") if value not in known]
    return unknown
