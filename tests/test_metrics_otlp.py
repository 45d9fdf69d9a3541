"""Metrics over OTLP, as a collector gets them: figures, exemplars, and never in the way."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import turnscope
from collector_kit import GrpcCollector, HttpCollector, wait_until
from helpers import run_python
from metrics_kit import otlp_labels, otlp_points
from ship_kit import point_at
from turnscope.errors import ConfigurationError
from turnscope.metrics import names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An environment that says nothing but to collect often; afterwards nothing is recorded any more."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
    yield
    turnscope.shutdown()


@pytest.fixture(params=[HttpCollector, GrpcCollector])
def collector(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HttpCollector | GrpcCollector]:
    with request.param().open() as opened:
        point_at(opened, monkeypatch)
        yield opened


def latest(collector: HttpCollector | GrpcCollector, name: str) -> list[tuple[dict[str, str], Any]]:
    return [(otlp_labels(point), point) for point in otlp_points(collector.metrics, name)]


def test_a_turn_that_really_hangs_is_told_while_it_does(
    collector: HttpCollector | GrpcCollector, tmp_path: Path
) -> None:
    turnscope.configure(tmp_path, service="gateway", budgets={"upstream_sent": (0.1, 0.2)})

    began_s = time.monotonic()
    with turnscope.turn("s") as turn, turn.upstream(model="large"):
        assert wait_until(lambda: latest(collector, names.TURNS_STUCK))
        waited_s = time.monotonic() - began_s

    labels, stuck = latest(collector, names.TURNS_STUCK)[0]
    first = next(point.as_double for _, point in latest(collector, names.PHASES_OLDEST) if point.as_double > 0.2)
    assert (labels, stuck.as_int) == ({"phase": "upstream_sent", "cause": "transport"}, 1)
    assert 0.2 < first <= waited_s
    resource = {
        pair.key: pair.value.string_value for pair in collector.metrics[0].resource_metrics[0].resource.attributes
    }
    assert resource["service.name"] == "gateway"


def test_a_duration_has_the_trace_of_its_turn_and_the_span_that_shows_it(
    collector: HttpCollector | GrpcCollector, tmp_path: Path
) -> None:
    turnscope.configure(tmp_path)
    with turnscope.turn("s") as turn, turn.upstream(model="large"):
        pass

    assert wait_until(lambda: latest(collector, names.TURN_DURATION) and collector.spans)
    turnscope.shutdown()

    spans = {span.name: span for span in collector.spans}
    # A collection has the exemplars since the one before.
    duration = next(point for _, point in latest(collector, names.TURN_DURATION) if point.exemplars)
    waits = [(labels["phase"], point) for labels, point in latest(collector, names.PHASE_DURATION) if point.exemplars]
    sent = next(point for phase, point in waits if phase == "upstream_sent")
    shown = [(one.exemplars[0].trace_id.hex(), one.exemplars[0].span_id.hex()) for one in (duration, sent)]
    assert shown == [
        (turn.trace_id, spans["invoke_agent"].span_id.hex()),
        (turn.trace_id, spans["chat large"].span_id.hex()),
    ]
    assert list(duration.explicit_bounds) == list(names.BUCKETS_S)


def test_the_last_turns_before_the_end_are_told(collector: HttpCollector | GrpcCollector, tmp_path: Path) -> None:
    turnscope.configure(tmp_path)
    for _ in range(3):
        with turnscope.turn("s"):
            pass
    turnscope.shutdown()

    labels, ended = latest(collector, names.TURNS)[-1]
    assert (labels, ended.as_int) == ({"outcome": "completed", "cause": "none", "model": "none"}, 3)


def test_receipts_and_lag_of_the_delivery_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with HttpCollector().open() as collector:
        point_at(collector, monkeypatch)
        turnscope.configure(tmp_path)
        with turnscope.turn("s"):
            pass
        assert wait_until(lambda: told(collector, "traces", "accepted") == 2)
        collector.mode = "503"
        with turnscope.turn("s"):
            pass
        assert wait_until(lambda: told(collector, "traces", "retried") > 0)
        assert wait_until(lambda: lag(collector) > 1)
        collector.mode = "ok"
        assert wait_until(lambda: lag(collector) == 0)

    assert told(collector, "traces", "accepted") == 4
    assert told(collector, "traces", "refused") == 0


def told(collector: HttpCollector, signal: str, receipt: str) -> float:
    points = latest(collector, names.DELIVERY_ITEMS)
    return next((p.as_int for labels, p in points[::-1] if labels == {"signal": signal, "receipt": receipt}), 0)


def lag(collector: HttpCollector) -> float:
    points = latest(collector, names.DELIVERY_LAG)
    return next((p.as_double for labels, p in points[::-1] if labels == {"signal": "traces"}), 0)


@pytest.mark.parametrize("kind", [HttpCollector, GrpcCollector])
def test_the_end_does_not_wait_for_a_collector_that_hangs(
    kind: type[HttpCollector | GrpcCollector], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = kind()
    collector.metrics_mode = collector.mode = "hang"
    with collector.open():
        point_at(collector, monkeypatch)
        turnscope.configure(tmp_path)
        with turnscope.turn("s"):
            pass
        time.sleep(0.3)  # it is asked by now
        began_s = time.monotonic()
        turnscope.shutdown()
        took_s = time.monotonic() - began_s

    assert took_s < 0.5


def test_a_program_ends_at_once_when_the_collector_hangs(tmp_path: Path) -> None:
    program = (
        "import time, turnscope\n"
        "turnscope.configure('.', otlp=False)\n"
        "with turnscope.turn('s'):\n"
        "    time.sleep(0.3)\n"
        "began = time.monotonic()\n"
        "turnscope.shutdown()\n"
        "print(time.monotonic() - began < 0.5)\n"
    )
    with HttpCollector().open() as collector:
        collector.metrics_mode = "hang"
        done = run_python(program, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)

    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


@pytest.mark.parametrize(
    ("setting", "variables", "sends"),
    [
        (None, {}, False),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1"}, True),
        (None, {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:1/v1/metrics"}, True),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1", "OTEL_METRICS_EXPORTER": "none"}, False),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1", "OTEL_METRICS_EXPORTER": "console"}, False),
        (None, {"OTEL_METRICS_EXPORTER": "otlp"}, True),
        (None, {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, False),
        (True, {}, True),
        (True, {"OTEL_METRICS_EXPORTER": "none"}, False),
        (False, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1"}, False),
    ],
)
def test_the_environment_says_whether_metrics_are_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, setting: bool | None, variables: dict[str, str], sends: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    recorder = turnscope.configure(tmp_path, otlp=False, metrics=setting)

    assert (recorder.metrics is not None) == sends


def test_a_variable_that_cannot_work_is_an_error_for_who_asked_and_a_warning_for_who_did_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")

    with pytest.raises(ConfigurationError, match="must begin with http"):
        turnscope.configure(tmp_path, otlp=False, metrics=True)
    assert turnscope.configure(tmp_path, otlp=False).metrics is None
    assert "metrics are not sent" in caplog.text


@pytest.mark.parametrize("settings", [{"metrics": "yes"}, {"metrics": False, "prometheus": "127.0.0.1:0"}])
def test_settings_that_make_no_sense_are_errors(tmp_path: Path, settings: Any) -> None:
    with pytest.raises(ConfigurationError, match="nothing was started"):
        turnscope.configure(tmp_path, **settings)


def test_a_provider_of_the_gateway_gets_the_metrics_also_when_it_is_configured_anew(tmp_path: Path) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    for folder in ("a", "b"):
        turnscope.configure(tmp_path / folder, metrics=provider)
        with turnscope.turn("s"):
            pass
    turnscope.shutdown()
    assert provider.get_meter("another").create_counter("still.there") is not None
    turnscope.configure(tmp_path / "b", metrics=provider)
    with turnscope.turn("s"):
        data = reader.get_metrics_data()

    assert data is not None
    (scope,) = [scope for scope in data.resource_metrics[0].scope_metrics if scope.scope.name == "turnscope"]
    points: dict[str, Any] = {metric.name: metric.data.data_points for metric in scope.metrics}
    assert sum(point.value for point in points[names.TURNS]) == 2
    assert [point.value for point in points[names.TURNS_OPEN]] == [1]


def test_a_provider_of_the_gateway_has_readers_of_its_own(tmp_path: Path) -> None:
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)

    with pytest.raises(ConfigurationError, match="PrometheusMetricReader"):
        turnscope.configure(tmp_path, metrics=provider, prometheus="127.0.0.1:0")


def test_a_forked_child_tells_of_its_own_turns_and_of_none_of_its_parents(tmp_path: Path) -> None:
    program = (
        "import os, time, turnscope, warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "turnscope.configure('.', otlp=False)\n"
        "for _ in range(5):\n"
        "    with turnscope.turn('s'):\n"
        "        pass\n"
        "time.sleep(1.2)\n"
        "if os.fork() == 0:\n"
        "    with turnscope.turn('s'):\n"
        "        time.sleep(1.5)\n"
        "    turnscope.shutdown()\n"
        "    os._exit(0)\n"
        "print(os.wait()[1])\n"
    )
    with HttpCollector().open() as collector:
        done = run_python(program, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
        assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr

    ended: dict[str, int] = {}
    for request in collector.metrics:
        for part in request.resource_metrics:
            who = {pair.key: pair.value.string_value for pair in part.resource.attributes}["service.instance.id"]
            ended[who] = max([ended.get(who, 0), *(point.as_int for point in otlp_points([request], names.TURNS))])
    assert sorted(ended.values()) == [1, 5]
