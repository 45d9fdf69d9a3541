"""Certificates for loopback, each of its own authority, made by openssl when a test asks for them."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import grpc  # type: ignore[import-untyped]
import pytest

if TYPE_CHECKING:
    from pathlib import Path


class Certificate(NamedTuple):
    """A certificate that signs itself, and its key; PEM files."""

    path: Path
    key: Path


class Tls(NamedTuple):
    """What a server shows of itself, and, if it asks its clients, whom it knows."""

    own: Certificate
    client: Certificate | None = None

    def context(self) -> ssl.SSLContext:
        """Return it for a server of the standard library."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.own.path, self.own.key)
        if self.client is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.client.path)
        return context

    def credentials(self) -> grpc.ServerCredentials:
        """Return it for a server of gRPC."""
        pair = (self.own.key.read_bytes(), self.own.path.read_bytes())
        asks = self.client is not None
        known = self.client.path.read_bytes() if self.client is not None else None
        return grpc.ssl_server_credentials([pair], root_certificates=known, require_client_auth=asks)


def certificate(folder: Path, name: str) -> Certificate:
    """Make a certificate for 127.0.0.1; without openssl, the test is skipped."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    what = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -addext subjectAltName=IP:127.0.0.1"
    )
    where = ["-subj", f"/CN={name}", "-out", str(made.path), "-keyout", str(made.key)]
    subprocess.run(["openssl", *what.split(), *where], check=True, capture_output=True)
    return made
