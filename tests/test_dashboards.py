"""The dashboards are what the generator writes, Grafana would take them, and they ask only for what is emitted."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from dashboard_kit import BOARDS, DASHBOARDS, ROOT, SERIES, load, panels, targets, unknown_in_promql
from turnscope.metrics.names import METRICS
from turnscope.ship.names import AGE, LANE, PHASE, TURN_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SCHEMAS = ROOT / "tests/data/schemas/grafana"
GRID_COLUMNS = 24
VARIABLES = {"prometheus": "${metrics}", "loki": "${logs}", "tempo": "${traces}"}

PAGES = [
    *(ROOT / "docs" / name for name in ("alerts.md", "dashboards.md")),
    *sorted(path for kind in ("*.yml", "*.yaml", "*.md", "*.Dockerfile") for path in DASHBOARDS.rglob(kind)),
]

each_board = pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)


def schema(name: str, part: str = "") -> dict[str, Any]:
    """Return a schema of Grafana's, or one of its definitions."""
    whole: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))
    return {**whole, "$ref": f"#/definitions/{part}"} if part else whole


def faults(board: dict[str, Any]) -> Iterator[str]:
    """Yield what Grafana's types have against a dashboard, and against the settings of its panels."""
    yield from errors(schema("dashboard"), board)
    for panel in panels(board):
        kind = f"panel-{panel['type'].replace('-', '')}"
        yield from errors(schema(kind, "Options"), panel["options"])
        custom = panel["fieldConfig"]["defaults"].get("custom")
        if custom is not None:
            yield from errors(schema(kind, "FieldConfig"), custom)


def errors(against: dict[str, Any], value: Any) -> Iterator[str]:
    for error in jsonschema.Draft7Validator(against).iter_errors(value):
        yield f"{error.json_path}: {error.message}"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="grafana-foundation-sdk needs Python 3.11")
def test_what_is_committed_is_what_the_generator_writes() -> None:
    from dashboards.generator.__main__ import generated  # noqa: PLC0415 - not to be had before 3.11

    written = generated()
    committed = {path: (DASHBOARDS / path).read_text("utf-8") for path in written}

    assert [path for path in written if written[path] != committed[path]] == [], "run make dashboards"
    assert [f"grafana/{path.name}" for path in BOARDS] == sorted(path for path in written if path.startswith("grafana"))


@each_board
def test_grafana_takes_it(path: Path) -> None:
    assert list(faults(load(path))) == []


SPOIL: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a width that is a word": lambda board: panels(board)[0]["gridPos"].update(w="wide"),
    "a threshold mode that there is not": lambda board: panels(board)[0]["fieldConfig"]["defaults"][
        "thresholds"
    ].update(mode="relative"),
    "a unit that is a number": lambda board: panels(board)[0]["fieldConfig"]["defaults"].update(unit=7),
    "no version of the schema": lambda board: board.pop("schemaVersion"),
    "a setting that the panel has not": lambda board: panels(board)[0]["options"].update(footer={}),
    "a style of drawing that there is not": lambda board: next(
        panel for panel in panels(board) if panel["type"] == "timeseries"
    )["fieldConfig"]["defaults"]["custom"].update(drawStyle="crayon"),
}


@pytest.mark.parametrize("fault", SPOIL)
def test_grafana_would_not_take_one_with(fault: str) -> None:
    board = load(DASHBOARDS / "grafana/recorder-health.json")

    SPOIL[fault](board)

    assert list(faults(board)) != []


def test_each_dashboard_has_an_address_of_its_own_that_stays() -> None:
    uids = [load(path)["uid"] for path in BOARDS]

    assert uids == [f"turnscope-{path.stem}" for path in BOARDS]
    assert all(load(path).get("id") is None for path in BOARDS)


@each_board
def test_panels_have_ids_titles_and_say_what_they_show(path: Path) -> None:
    board = load(path)
    ids = [panel["id"] for panel in board["panels"]]

    assert len(ids) == len(set(ids))
    for panel in panels(board):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs)) > 0, panel["title"]


@each_board
def test_panels_do_not_lie_upon_each_other(path: Path) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in load(path)["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= GRID_COLUMNS, panel["title"]
        for cell in ((place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])):
            assert cell not in taken, f"{panel['title']} lies upon {taken[cell]}"
            taken[cell] = panel["title"]


@each_board
def test_data_sources_are_chosen_by_the_reader(path: Path) -> None:
    board = load(path)
    used = [panel["datasource"] for panel in panels(board)]
    used += [target["datasource"] for panel in panels(board) for target in panel["targets"]]
    chosen = {f"${{{v['name']}}}": v["query"] for v in board["templating"]["list"] if v["type"] == "datasource"}

    assert [source for source in used if source["uid"] != VARIABLES[source["type"]]] == []
    assert chosen == {uid: kind for kind, uid in VARIABLES.items()}


@each_board
def test_every_variable_that_is_used_is_there(path: Path) -> None:
    text = path.read_text("utf-8")
    board = load(path)
    there = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", text))

    assert used - there == set()


@pytest.mark.parametrize("target", targets("prometheus"), ids=str)
def test_queries_for_prometheus_ask_only_for_what_is_emitted(target: Any) -> None:
    assert unknown_in_promql(target.expr) == []


@each_board
def test_variables_ask_only_for_what_is_emitted(path: Path) -> None:
    queries = [v["query"] for v in load(path)["templating"]["list"] if v["type"] == "query"]
    asked = [re.fullmatch(r"label_values\((\w+), (\w+)\)", query) for query in queries]
    labels = {
        name: {*metric.labels, "job"}
        for metric in METRICS
        for name in (metric.prometheus, f"{metric.prometheus}_bucket")
    }

    assert [match.group(2) in labels[match.group(1)] for match in asked if match] == [True] * len(queries) != []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_names_in_pages_and_configurations_are_emitted(path: Path) -> None:
    of_loki = {re.sub(r"\W", "_", name) for name in (TURN_ID, LANE, PHASE, AGE)}
    known = SERIES.keys() | {metric.prometheus for metric in METRICS} | of_loki
    names = set(re.findall(r"\bturnscope_\w+", path.read_text("utf-8")))

    assert names - known == set()


@pytest.mark.parametrize(
    "query",
    [
        "sum(turnscope_turn_stuck)",
        'turnscope_turns_stuck{phase="respons_headers"}',
        'turnscope_turns_stuck{phase=~"queued|no_such"}',
        'turnscope_turns_stuck{turn="t1"}',
        "sum by (fase) (turnscope_turns_stuck)",
        "turnscope_turn_duration_seconds",
        "max by (phase) (a) / on (phaze) group_left () turnscope:phase_stuck_after:seconds",
    ],
)
def test_a_name_that_is_spelled_wrongly_is_noticed(query: str) -> None:
    assert unknown_in_promql(query) != []
