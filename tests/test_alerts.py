"""The alerts: Prometheus takes them, they do what they say, and each leads somewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from dashboard_kit import BOARDS, DASHBOARDS, LABEL_VALUES, ROOT, load, rules, unknown_in_promql
from turnscope.metrics.names import METRICS
from turnscope.phases import PHASES

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = DASHBOARDS / "prometheus"
PAGE = ROOT / "docs/alerts.md"
ALERTS = [rule for rule in rules() if "alert" in rule]

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
each_alert = pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False, timeout=60)


@needs_promtool
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "budgets.yml", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_finds_no_fault(arguments: tuple[str, ...]) -> None:
    done = promtool(*arguments)

    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_the_tests_of_the_rules_can_fail(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "rules")
    alerts = tmp_path / "rules/alerts.yml"
    alerts.write_text(
        alerts.read_text("utf-8").replace("turnscope_turns_stuck) > 0\n        for", "x) > 0\n        for")
    )

    assert promtool("test", "rules", str(tmp_path / "rules/alerts_test.yml")).returncode == 1


@each_alert
def test_an_alert_asks_only_for_what_is_emitted(rule: dict[str, Any]) -> None:
    said = " ".join(rule["annotations"].values())
    labels = re.findall(r"\$labels\.(\w+)", said)
    grouped = re.findall(r"\b(?:by|on) \(([\w, ]+)\)", rule["expr"])

    assert unknown_in_promql(rule["expr"]) == []
    assert [label for label in labels if label not in grouped[0].split(", ")] == [], "it would be empty in the text"


@each_alert
def test_an_alert_says_how_bad_it_is_what_it_means_and_where_to_look(rule: dict[str, Any]) -> None:
    said = rule["annotations"]
    page, _, anchor = said["runbook"].partition("#")
    headings = re.findall(r"^## (.+)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)

    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert said["summary"]
    assert said["description"].endswith(".")
    assert anchor == rule["alert"].lower()
    assert anchor in [heading.lower() for heading in headings]
    assert said["dashboard"] in [f"/d/{load(path)['uid']}" for path in BOARDS]


def test_the_page_has_every_alert_with_its_severity() -> None:
    table = re.findall(r"^\| \[(\w+)\]\(#\w+\) \| (\w+) \|", PAGE.read_text("utf-8"), re.MULTILINE)

    assert table == [(rule["alert"], rule["labels"]["severity"]) for rule in ALERTS]


def test_the_page_explains_every_reason_that_the_alert_on_drops_can_name() -> None:
    text = PAGE.read_text("utf-8")
    section = text.partition("## TurnscopeDrops\n")[2].partition("\n## ")[0]

    assert [reason for reason in LABEL_VALUES["reason"] if f"`{reason}`" not in section] == []


def test_every_alert_is_tested_with_a_case_that_fires() -> None:
    text = (FOLDER / "alerts_test.yml").read_text("utf-8")
    fired = set(re.findall(r"alertname: (\w+)\n        exp_alerts:\n", text))
    fired |= set(re.findall(r'ALERTS\{alertname="(\w+)"', text))

    assert fired == {rule["alert"] for rule in ALERTS}


def test_series_in_the_tests_of_the_rules_are_emitted() -> None:
    text = (FOLDER / "alerts_test.yml").read_text("utf-8")
    series = re.findall(r"series: (.+)$", text, re.MULTILINE)

    assert [unknown_in_promql(one) for one in series] == [[] for _ in series]


def test_each_phase_with_a_budget_has_it_recorded() -> None:
    recorded = {rule["labels"]["phase"]: rule["expr"] for rule in rules() if "record" in rule}

    assert recorded == {
        phase.name: f"vector({phase.stuck_after_s:g})" for phase in PHASES if phase.stuck_after_s is not None
    }


def test_every_metric_is_on_a_dashboard() -> None:
    shown = "".join(path.read_text("utf-8") for path in BOARDS)

    assert [metric.name for metric in METRICS if metric.prometheus not in shown] == []
