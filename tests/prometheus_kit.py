"""A real Prometheus on loopback, with the rules of dashboards/ at the pace of a test."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Final

import httpx
import yaml

from collector_kit import free_port, wait_until
from dashboard_kit import DASHBOARDS
from dashboards.generator.budgets import budgets

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

PROMETHEUS: Final = shutil.which("prometheus")
EVERY: Final = "500ms"
"""Scrapes and evaluations; a scrape that takes longer than this, on a busy machine, has failed."""

JOB: Final = "gateway"
_LIFETIME_S: Final = 100
"""Prometheus ends after so long, whatever becomes of the tests."""

_MINUTES: Final = re.compile(r"\b(\d+)m\b")
_HOURS: Final = re.compile(r"\b(\d+)h\b")


def faster(rules: str) -> str:
    """Return rules for Prometheus whose minutes are seconds: how long they wait, and the windows they look at."""
    minutes = _HOURS.sub(lambda hours: f"{60 * int(hours[1])}m", rules)
    return _MINUTES.sub(lambda found: f"{found[1]}s", minutes)


class Prometheus:
    """Scrapes one gateway, and evaluates the rules of ``dashboards/prometheus``.

    Args:
        folder: For its files.
        port: Where the gateway serves its metrics.
        stuck_after_s: Budgets that alerts and dashboards hold ages against, where they are not the default, by phase.
    """

    def __init__(self, folder: Path, port: int, stuck_after_s: Mapping[str, float]) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        alerts = (DASHBOARDS / "prometheus/alerts.yml").read_text("utf-8")
        scrape = {"job_name": JOB, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        config = {
            "global": {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY},
            "rule_files": ["budgets.yml", "alerts.yml"],
            "scrape_configs": [scrape],
        }
        (folder / "budgets.yml").write_text(budgets(stuck_after_s), encoding="utf-8")
        (folder / "alerts.yml").write_text(faster(alerts), encoding="utf-8")
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        self._folder = folder

    def __enter__(self) -> Self:
        self._http = httpx.Client(base_url=self.url, timeout=10)
        with (self._folder / "prometheus.log").open("w") as log:
            self._process = subprocess.Popen(
                [
                    *("timeout", str(_LIFETIME_S), str(PROMETHEUS)),
                    f"--config.file={self._folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address={self.url.removeprefix('http://')}",
                    "--log.level=warn",
                ],
                stdout=log,
                stderr=log,
            )
        if not wait_until(self._is_ready):
            self._end()
            raise RuntimeError((self._folder / "prometheus.log").read_text("utf-8"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def query(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """Return the labels and the value of each row; rows without a number are left out.

        Raises:
            ValueError: Prometheus does not take the query.
        """
        answer = self._get("/api/v1/query", {"query": expr})
        rows = [(row["metric"], float(row["value"][1])) for row in answer["result"]]
        return [(labels, value) for labels, value in rows if not math.isnan(value)]

    def alerts(self, name: str, state: str = "firing") -> list[dict[str, str]]:
        """Return the labels of each alert of that name in that state."""
        found = self._get("/api/v1/alerts", {})["alerts"]
        return [a["labels"] for a in found if a["labels"]["alertname"] == name and a["state"] == state]

    def values(self, label: str, metric: str) -> list[str]:
        """Return the values of a label in the series of a metric."""
        found: list[str] = self._get(f"/api/v1/label/{label}/values", {"match[]": metric})
        return found

    def _get(self, path: str, parameters: dict[str, str]) -> Any:
        answer = self._http.get(path, params=parameters).json()
        if answer["status"] != "success":
            raise ValueError(f"{answer['error']}: {parameters}")
        return answer["data"]

    def _is_ready(self) -> bool:
        try:
            return self._http.get("/-/ready").status_code == httpx.codes.OK
        except httpx.TransportError:
            return self._process.poll() is not None

    def _end(self) -> None:
        self._http.close()
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
