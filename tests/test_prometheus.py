"""The real Prometheus beside the example gateway: every panel has rows, and alerts fire and clear with their turns.

One scene for all: the turn that hangs is stopped in the last test but one, and its gateway is killed in the last.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest

from collector_kit import HttpCollector, free_port, wait_until
from dashboard_kit import BOARDS, load, targets
from examples.gateway.clients import Client
from examples.gateway.demo.fleet import Fleet, Server
from prometheus_kit import JOB, PROMETHEUS, Prometheus, faster

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.prometheus,
    pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed (Debian: apt-get install prometheus)"),
]

STUCK_AFTER_S = 2.0
PATIENCE_S = 25
PLANS = ("text 0.2", "call run date; text", "cut", "unauthorized")
ENDED = "sum (turnscope_turns_total)"
WITH_VERSION = "* on (job, instance) group_left (service_version) target_info"
OF_GRAFANA = {"$__rate_interval": "20s", "$__range": "1m", "$job": ".*", "$phase": ".*", "$model": ".*", "$cause": ".*"}


class Scene(NamedTuple):
    """A gateway with one turn that hangs, and who watches it."""

    fleet: Fleet
    gateway: Server
    collector: HttpCollector
    prometheus: Prometheus
    hung: str


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    port = free_port()
    data = tmp_path_factory.mktemp("data")
    with HttpCollector().open() as collector:
        environment = {
            "OTEL_METRICS_EXPORTER": "prometheus",
            "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_RESOURCE_ATTRIBUTES": "service.version=1.2.3",
        }
        budgets = {"response_headers": (STUCK_AFTER_S / 2, STUCK_AFTER_S)}
        with Fleet(tmp_path_factory.mktemp("traces"), data, budgets, environment) as fleet:
            gateway = fleet.gateway()
            # To the gateway a tool is stuck after half an hour: here is one near its budget that is not stuck.
            limits = {"response_headers": STUCK_AFTER_S, "tool_call": STUCK_AFTER_S}
            with Prometheus(tmp_path_factory.mktemp("prometheus"), port, limits) as prometheus:
                hung = asyncio.run(play(gateway.url, "headers", prometheus))
                yield Scene(fleet, gateway, collector, prometheus, hung)


async def play(url: str, hang: str, prometheus: Prometheus) -> str:
    """Let turns end well and badly, twice, one hang in a tool and one by *hang*; return the path of the latter."""
    async with httpx.AsyncClient(base_url=url, timeout=10) as http:
        client = Client(http, "session")
        hung = await client.send(hang)
        await client.send("call run sleep 60; text")
        for ended in (len(PLANS), 2 * len(PLANS)):
            for plan in PLANS:
                await client.until_ended(await client.send(plan))
            # A counter has not grown in its first scrape: the second round of turns has to come after that.
            assert wait_until(lambda count=ended: prometheus.query(ENDED) == [({}, count)], PATIENCE_S)
        return hung


def stop(gateway: Server, turn: str) -> str:
    """Stop a turn as its client does."""
    result: str = httpx.post(f"{gateway.url}{turn}/stop", timeout=10).json()["result"]
    return result


def as_asked(expr: str) -> str:
    """Return a query with what Grafana puts in the place of its variables."""
    for variable, value in OF_GRAFANA.items():
        expr = expr.replace(variable, value)
    return expr


@pytest.mark.parametrize("target", targets("prometheus"), ids=str)
def test_every_query_of_every_panel_returns_rows(target: Any, scene: Scene) -> None:
    expr = as_asked(target.expr)

    assert wait_until(lambda: scene.prometheus.query(expr), PATIENCE_S), expr


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_every_variable_has_values(path: Any, scene: Scene) -> None:
    queries = [v["query"] for v in load(path)["templating"]["list"] if v["type"] == "query"]

    for query in queries:
        metric, label = re.findall(r"\w+", query)[1:]
        series = metric if "duration" not in metric else f"{metric}_count"
        assert scene.prometheus.values(label, series), query


def test_the_figures_are_those_of_the_turns(scene: Scene) -> None:
    def told() -> list[object]:
        query = scene.prometheus.query
        by_version = f"sum by (service_version) (turnscope_turns_total {WITH_VERSION})"
        return [
            query("sum (turnscope_turns_stuck)"),
            query("sum (turnscope_turns_open)"),
            query(f"sum (turnscope_phases_oldest_seconds > {STUCK_AFTER_S:g}) > bool 0"),
            sorted((labels["cause"], value) for labels, value in query("sum by (cause) (turnscope_turns_total)")),
            query(by_version),
        ]

    wanted = [
        [({}, 1.0)],
        [({}, 2.0)],
        [({}, 1.0)],
        [("none", 4.0), ("quota_or_auth", 2.0), ("transport", 2.0)],
        [({"service_version": "1.2.3"}, 8.0)],
    ]
    assert wait_until(lambda: told() == wanted, PATIENCE_S), told()


def test_a_wait_near_its_budget_is_told_while_nothing_is_stuck_in_it(scene: Scene) -> None:
    assert wait_until(lambda: near_budget(scene) == {"tool_call"}, PATIENCE_S), near_budget(scene)


def test_what_a_collector_refuses_is_told(scene: Scene) -> None:
    assert scene.prometheus.alerts("TurnscopeDeliveryRefused") == []

    scene.collector.mode = "400"
    asyncio.run(_send(scene.gateway.url, "text"))

    assert wait_until(lambda: scene.prometheus.alerts("TurnscopeDeliveryRefused"), PATIENCE_S)
    scene.collector.mode = "ok"


def test_the_alert_of_a_stuck_turn_fires_and_clears_when_the_turn_has_ended(scene: Scene) -> None:
    name = "TurnscopeTurnStuck"
    wanted = {
        "alertname": name, "job": JOB, "phase": "response_headers", "cause": "model_stall", "severity": "critical",
    }  # fmt: skip
    assert wait_until(lambda: scene.prometheus.alerts(name) == [wanted], PATIENCE_S), scene.prometheus.alerts(name)

    assert stop(scene.gateway, scene.hung) == "cancelled"

    assert wait_until(lambda: not scene.prometheus.alerts(name), PATIENCE_S)
    assert wait_until(lambda: scene.prometheus.query("sum (turnscope_turns_open)") == [({}, 1.0)], PATIENCE_S)
    assert wait_until(lambda: near_budget(scene) == {"tool_call"}, PATIENCE_S), "the scrapes go on"


def test_a_gateway_that_is_killed_is_told(scene: Scene) -> None:
    name = "TurnscopeGatewayGone"
    assert wait_until(lambda: not scene.prometheus.alerts(name), PATIENCE_S)

    scene.gateway.kill()

    assert wait_until(lambda: scene.prometheus.alerts(name), PATIENCE_S)


def near_budget(scene: Scene) -> set[str]:
    """Return the phases in which a wait is said to be near its budget."""
    return {alert["phase"] for alert in scene.prometheus.alerts("TurnscopeWaitNearBudget")}


async def _send(url: str, plan: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=10) as http:
        client = Client(http, "later")
        await client.until_ended(await client.send(plan))


def test_minutes_of_a_rule_become_seconds() -> None:
    assert faster("for: 5m\nexpr: x[10m] offset 1h") == "for: 5s\nexpr: x[10s] offset 60s"
