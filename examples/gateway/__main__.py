"""Run the gateway: ``python -m examples.gateway --provider main=http://127.0.0.1:8000``.

The first line on stdout is a JSON object with the address, as soon as it can be used.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
from pathlib import Path

import uvicorn

import turnscope
from examples.gateway.app import Gateway
from examples.gateway.settings import Settings


def main() -> None:
    """Parse the arguments and serve until the lifetime is over."""
    parser = argparse.ArgumentParser(description="A small chat gateway that records its turns.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--provider", action="append", required=True, metavar="NAME=URL", help="one must be main")
    parser.add_argument("--data", type=Path, default=Path("sessions"), help="where the histories are")
    parser.add_argument("--journal", type=Path, default=Path("traces"), help="where the turns are recorded")
    parser.add_argument("--budgets", type=json.loads, default={}, metavar="JSON", help="phase -> seconds")
    parser.add_argument("--lifetime", type=int, default=120, metavar="SECONDS", help="end after so long, in any case")
    arguments = parser.parse_args()

    signal.alarm(arguments.lifetime)  # the kernel ends us even if our loop is wedged
    arguments.data.mkdir(parents=True, exist_ok=True)
    turnscope.configure(arguments.journal, service="example-gateway", budgets=arguments.budgets)
    settings = Settings(arguments.data, dict(pair.split("=", 1) for pair in arguments.provider))

    # TCP by name: asyncio switches Nagle's delay of 40 ms off only where the socket says that it is TCP.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", arguments.port))
        listening.listen()
        print(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}"}), flush=True)
        config = uvicorn.Config(Gateway(settings).app(), log_level="warning", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
