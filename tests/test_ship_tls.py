"""TLS over real sockets: the variables of OpenTelemetry decide whom the shipper trusts, and as whom it comes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from collector_kit import GrpcCollector, HttpCollector, doubled, wait_until
from ship_kit import FAST, ids_of, journal, point_at
from tls_kit import Certificate, Tls, certificate
from turnscope.ship.shipper import Shipper
from turnscope_analyzer.cli import EXIT_ERROR, EXIT_OK, main

if TYPE_CHECKING:
    from pathlib import Path

# A client that does not trust a server is gone at once, and CPython then forgets the socket that it has just accepted.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

KINDS = [HttpCollector, GrpcCollector]
PREFIX = "OTEL_EXPORTER_OTLP_"


@pytest.fixture(scope="module")
def of_server(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("server"), "server")


@pytest.fixture(scope="module")
def of_client(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("client"), "client")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return journal(tmp_path / "traces", 3)


def trust(monkeypatch: pytest.MonkeyPatch, one: Certificate) -> None:
    monkeypatch.setenv(f"{PREFIX}CERTIFICATE", str(one.path))


@pytest.mark.parametrize("kind", KINDS)
def test_a_collector_with_a_certificate_that_is_trusted_gets_everything(
    folder: Path, monkeypatch: pytest.MonkeyPatch, of_server: Certificate, kind: type[HttpCollector]
) -> None:
    # The libraries below have a variable of their own for this; ours is the one that counts.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/hostname")
    trust(monkeypatch, of_server)
    with kind(tls=Tls(of_server)).open() as collector:
        point_at(collector, monkeypatch)
        done = CliRunner().invoke(main, ["ship", str(folder)])

    assert done.exit_code == EXIT_OK, done.output
    assert sorted(collector.ids()) == ids_of(folder)
    assert len(collector.records) == 27


@pytest.mark.parametrize("kind", KINDS)
def test_a_collector_that_nobody_vouches_for_gets_nothing_and_the_reason_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, of_server: Certificate, of_client: Certificate,
    kind: type[HttpCollector],
) -> None:  # fmt: skip
    trust(monkeypatch, of_client)  # an authority, but not the one of this server
    with kind(tls=Tls(of_server)).open() as collector:
        point_at(collector, monkeypatch)
        done = CliRunner().invoke(main, ["ship", str(folder), "--patience", "0"])

    assert done.exit_code == EXIT_ERROR
    assert collector.requests == []
    assert "certificate verify failed: self" in done.output


@pytest.mark.parametrize("kind", KINDS)
def test_what_waited_for_the_right_certificate_is_sent_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, of_server: Certificate, of_client: Certificate,
    kind: type[HttpCollector],
) -> None:  # fmt: skip
    trust(monkeypatch, of_server)
    wrong = kind(tls=Tls(of_client)).open()
    point_at(wrong, monkeypatch)
    shipper = Shipper(folder, pace=FAST)
    shipper.start()
    try:
        assert wait_until(lambda: any(one.receipt for one in shipper.standings()))
        time.sleep(0.2)
        assert all(one.sent == 0 for one in shipper.standings())
        wrong.close()
        right = kind(wrong.port, tls=Tls(of_server)).open()
        assert wait_until(lambda: shipper.standings()[0].sent == len(ids_of(folder)))
    finally:
        shipper.stop()
        wrong.close()
    right.close()

    assert wrong.requests == []
    assert sorted(right.ids()) == ids_of(folder)
    assert doubled(right.ids()) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shows", [True, False])
def test_a_collector_that_asks_who_comes_is_shown_the_clients_certificate(
    folder: Path, monkeypatch: pytest.MonkeyPatch, of_server: Certificate, of_client: Certificate,
    kind: type[HttpCollector], *, shows: bool,
) -> None:  # fmt: skip
    trust(monkeypatch, of_server)
    if shows:
        monkeypatch.setenv(f"{PREFIX}CLIENT_CERTIFICATE", str(of_client.path))
        monkeypatch.setenv(f"{PREFIX}CLIENT_KEY", str(of_client.key))
    with kind(tls=Tls(of_server, of_client)).open() as collector:
        point_at(collector, monkeypatch)
        done = CliRunner().invoke(main, ["ship", str(folder), "--patience", "0"])

    assert done.exit_code == (EXIT_OK if shows else EXIT_ERROR), done.output
    assert sorted(collector.ids()) == (ids_of(folder) if shows else [])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("variable", ["CERTIFICATE", "CLIENT_CERTIFICATE"])
def test_a_certificate_that_cannot_be_read_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: type[HttpCollector], variable: str
) -> None:
    monkeypatch.setenv(f"{PREFIX}{variable}", str(folder / "nowhere.pem"))
    monkeypatch.setenv(f"{PREFIX}PROTOCOL", kind.protocol)
    monkeypatch.setenv(f"{PREFIX}ENDPOINT", "https://127.0.0.1:1")

    done = CliRunner().invoke(main, ["ship", str(folder)])

    assert done.exit_code == EXIT_ERROR
    assert f"cannot read {folder}/nowhere.pem: No such file or directory" in " ".join(done.output.split())
