"""Starts Phoenix on loopback only, and ends it with whoever started it: run by Phoenix's own interpreter.

Its gRPC port listens on every address, and no setting changes that; its HTTP port is where the environment says.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import grpc.aio  # type: ignore[import-untyped]

_make_server = grpc.aio.server


def _server(*arguments: Any, **settings: Any) -> Any:
    server = _make_server(*arguments, **settings)
    add_port = server.add_insecure_port
    server.add_insecure_port = lambda address: add_port(address.replace("[::]:", "127.0.0.1:"))
    return server


def _end_with_the_caller() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    grpc.aio.server = _server
    threading.Thread(target=_end_with_the_caller, daemon=True).start()

    from phoenix.server.main import main  # type: ignore[import-not-found]

    sys.exit(main())
