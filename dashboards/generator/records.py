"""Writes queries for what the shipper sends: log records, by way of Loki, and spans, by way of Tempo."""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import quote

from turnscope.ship.names import AGE, HEARTBEAT, LANE, PHASE, TURN_ID, names_of

NAMES: Final = names_of(1)


def loki_name(attribute: str) -> str:
    """Return how Loki calls an attribute: what is no letter and no digit becomes an underscore."""
    return "".join(letter if letter.isalnum() else "_" for letter in attribute)


TRACE: Final = "trace_id"
"""How Loki calls the trace of a record, and Prometheus that of an exemplar."""

SESSION: Final = loki_name(NAMES["session"])
TURN: Final = loki_name(TURN_ID)
ON_LANE: Final = loki_name(LANE)
IN_PHASE: Final = loki_name(PHASE)

OPEN_TURNS: Final = (
    f"topk(100, max_over_time({{service_name=~`.+`}} |= `{HEARTBEAT}`"
    f" | {IN_PHASE}=~`${{phase:pipe}}` | unwrap {loki_name(AGE)} [1m])"
    f" by ({SESSION}, {TURN}, {ON_LANE}, {IN_PHASE}, {TRACE}))"
)
"""Every lane of every turn that is open, with its age; a heartbeat of each comes every 30 s."""

FAILED_TURNS: Final = f'{{ name = "{NAMES["turn"]}" && span.error.type != nil }}'
SLOW_REQUESTS: Final = f'{{ name =~ "{NAMES["request"]}.*" && duration > 2m }}'
CELL: Final = "${__value.raw}"
"""In the address of a link, what stands in the cell that is clicked."""


def explore(datasource_type: str, variable: str, query: dict[str, str]) -> str:
    """Return the address of Grafana's Explore with a query; what stands in ``${…}`` is filled in by Grafana."""
    source = {"type": datasource_type, "uid": f"${{{variable}}}"}
    pane = {
        "datasource": source["uid"],
        "queries": [{"refId": "A", "datasource": source, **query}],
        "range": {"from": "now-24h", "to": "now"},
    }
    # Not the characters of a variable: Grafana looks for them before it reads the address.
    return "/explore?schemaVersion=1&panes=" + quote(json.dumps({"turnscope": pane}), safe="${}:_.")


def in_tempo(traceql: str) -> str:
    """Return the address of a search, or of a trace by its id, in Tempo."""
    return explore("tempo", "traces", {"queryType": "traceql", "query": traceql})


def records_of_phase(phase: str) -> str:
    """Return the address of the heartbeats of what is open in a phase; *phase* may be a variable of Grafana."""
    expr = f"{{service_name=~`.+`}} |= `{HEARTBEAT}` | {IN_PHASE}=`{phase}`"
    return explore("loki", "logs", {"expr": expr, "queryType": "range"})
