"""The endpoint for Prometheus, by real scrapes."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

import turnscope
from collector_kit import HttpCollector, free_port, wait_until
from helpers import run_python
from metrics_kit import Scrape
from turnscope.errors import ConfigurationError
from turnscope.metrics import names
from turnscope.metrics.address import Address, address_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An environment that says nothing about telemetry; afterwards nothing is recorded any more."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    yield
    turnscope.shutdown()


def served(folder: Path, where: str = "127.0.0.1:0", **settings: object) -> Address:
    recorder = turnscope.configure(folder, prometheus=where, **settings)  # type: ignore[arg-type]
    assert recorder.metrics is not None
    assert recorder.metrics.address is not None
    return recorder.metrics.address


def test_a_turn_that_really_hangs_is_in_the_scrape_with_its_age_and_gone_after_it(tmp_path: Path) -> None:
    address = served(tmp_path, budgets={"upstream_sent": (0.1, 0.2)})
    before_s = time.monotonic()
    with turnscope.turn("s") as turn, turn.upstream(model="large"):
        sent_s = time.monotonic()
        time.sleep(0.5)
        least_s = time.monotonic() - sent_s
        scrape = Scrape(address)
        most_s = time.monotonic() - before_s

    labels = ("transport", "upstream_sent")
    assert scrape.series("turnscope_turns_stuck") == {labels: 1}
    assert scrape.series("turnscope_turns_open") == {(): 1}
    assert least_s <= scrape.series("turnscope_phases_oldest_seconds")[labels] <= most_s
    after = Scrape(address)
    assert after.series("turnscope_turns_stuck") == {}
    assert after.series("turnscope_turns_open") == {(): 0}


def test_the_names_are_those_of_the_table_and_the_labels_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with HttpCollector().open() as collector:
        monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        address = served(tmp_path, service="gateway", budgets={"started": (0.01, 0.02)})
        with turnscope.turn("s") as turn, turn.upstream(model="large"):
            pass
        with turnscope.turn("s"):
            assert wait_until(lambda: Scrape(address).series("turnscope_turns_total"))
            assert wait_until(lambda: len(Scrape(address).series("turnscope_delivery_lag_seconds")) == 2)
            scrape = Scrape(address)

    assert scrape.names() == {metric.prometheus for metric in names.METRICS} | {"target_info"}
    for metric in names.METRICS:
        family = scrape.families[metric.prometheus.removesuffix("_total")]
        assert {tuple(sorted(set(sample.labels) - {"le"})) for sample in family.samples} == {
            tuple(sorted(metric.labels))
        }, metric.name
        assert family.type == metric.instrument
        assert family.documentation == metric.about
    values = {label.name: label.values for label in names.LABELS}
    samples = [sample for family in scrape.families.values() for sample in family.samples]
    said = {(name, value) for s in samples if s.name != "target_info" for name, value in s.labels.items()}
    assert [(name, value) for name, value in said if values.get(name) and value not in values[name]] == []


def test_whose_figures_they_are_stands_beside_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=7.1")

    (info,) = Scrape(served(tmp_path, service="gateway")).families["target_info"].samples

    assert (info.labels["service_name"], info.labels["service_version"]) == ("gateway", "7.1")


def test_without_a_host_it_is_this_one_alone(tmp_path: Path) -> None:
    port = free_port()

    assert served(tmp_path, str(port)) == Address("127.0.0.1", port)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9464", Address("127.0.0.1", 9464)),
        ("9464", Address("127.0.0.1", 9464)),
        (":9464", Address("127.0.0.1", 9464)),
        ("0.0.0.0:1", Address("0.0.0.0", 1)),
        ("[::1]:9464", Address("::1", 9464)),
        ("gateway:9464", Address("gateway", 9464)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, address: Address) -> None:
    assert address_of(text) == address


@pytest.mark.parametrize("text", ["", "localhost", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:-1"])
def test_what_is_no_address_is_an_error(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="give HOST:PORT"):
        turnscope.configure(tmp_path, prometheus=text)


def test_a_port_in_use_is_an_error_at_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(ConfigurationError, match=f"cannot be served at 127.0.0.1:{port}: Address already in use"):
            turnscope.configure(tmp_path, prometheus=f"127.0.0.1:{port}")


def test_a_port_in_use_that_only_the_environment_named_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setenv("OTEL_METRICS_EXPORTER", "prometheus")
        monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_PORT", str(other.getsockname()[1]))

        assert turnscope.configure(tmp_path).metrics is None

    assert "there is no endpoint for Prometheus" in caplog.text


def test_the_environment_may_ask_for_the_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "prometheus")
    monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_PORT", str(port))

    turnscope.configure(tmp_path)

    assert Scrape(f"127.0.0.1:{port}").series("turnscope_turns_open") == {(): 0}


def test_without_the_extra_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'turnscope\[prometheus\]'"):
        turnscope.configure(tmp_path, prometheus="127.0.0.1:0")


def test_the_port_is_free_when_it_has_ended_and_goes_to_the_next_recorder(tmp_path: Path) -> None:
    where = str(served(tmp_path / "a"))
    with turnscope.turn("s"):
        pass

    again = served(tmp_path / "b", where)
    assert Scrape(again).series("turnscope_turns_open") == {(): 0}
    turnscope.shutdown()

    with socket.create_server(("127.0.0.1", again.port)):
        pass


@pytest.mark.parametrize(
    ("variable", "value"), [("OTEL_METRICS_EXEMPLAR_FILTER", "nonsense"), ("OTEL_METRIC_EXPORT_INTERVAL", "0")]
)
def test_an_environment_that_the_sdk_cannot_work_with_costs_the_metrics_and_no_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    port = free_port()

    turnscope.configure(tmp_path, otlp=False, metrics=True, prometheus=f"127.0.0.1:{port}")
    with turnscope.turn("s"):
        pass

    assert "there are no metrics: ValueError" in caplog.text
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_scrapes_at_the_same_time_do_not_mix_and_a_silent_client_delays_none(tmp_path: Path) -> None:
    address = served(tmp_path)
    scrapes: list[Scrape] = []
    with turnscope.turn("s"), socket.create_connection(address):
        threads = [threading.Thread(target=lambda: scrapes.append(Scrape(address))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert [scrape.text.count("\nturnscope_turns_open ") for scrape in scrapes] == [1] * 8


def test_a_forked_child_leaves_the_port_to_its_parent(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, time, turnscope, warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "recorder = turnscope.configure('.', prometheus='127.0.0.1:0')\n"
        "where = str(recorder.metrics.address)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    with turnscope.turn('s'):\n"
        "        time.sleep(20)\n"
        "time.sleep(1.5)\n"
        "turnscope.shutdown()\n"
        "turnscope.configure('.', prometheus=where)\n"
        "os.kill(child, signal.SIGKILL)\n"
        "os.wait()\n"
        "print('served again')\n"
    )

    done = run_python(program, tmp_path)

    assert (done.stdout, done.stderr) == ("served again\n", "")


def test_a_gateway_without_metrics_loads_no_sdk(tmp_path: Path) -> None:
    program = (
        "import sys, turnscope\n"
        "turnscope.configure('.')\n"
        "print([name for name in ('opentelemetry.sdk', 'prometheus_client') if name in sys.modules])\n"
    )

    assert run_python(program, tmp_path).stdout == "[]\n"
