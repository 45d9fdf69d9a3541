"""Run the model server: ``python -m examples.gateway.model_server``.

The first line on stdout is a JSON object with the addresses, as soon as they can be used.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import socket

from examples.gateway.model_server.server import ModelServer


def _refusing_address() -> tuple[socket.socket, int]:
    """Hold a port that nobody listens on, so that no other program can take it and answer."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    return held, held.getsockname()[1]


async def _serve(port: int, plan: str) -> None:
    model = ModelServer(plan)
    server = await asyncio.start_server(model.connected, "127.0.0.1", port)
    held, refusing_port = _refusing_address()
    with held:
        port = server.sockets[0].getsockname()[1]
        urls = {"url": f"http://127.0.0.1:{port}", "refusing_url": f"http://127.0.0.1:{refusing_port}"}
        print(json.dumps(urls), flush=True)
        await server.serve_forever()


def main() -> None:
    """Parse the arguments and serve until the lifetime is over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--plan", default="text", help="for requests that bring no plan of their own")
    parser.add_argument("--lifetime", type=int, default=120, metavar="SECONDS", help="end after so long, in any case")
    arguments = parser.parse_args()
    signal.alarm(arguments.lifetime)  # the kernel ends us even if our loop is wedged
    asyncio.run(_serve(arguments.port, arguments.plan))


if __name__ == "__main__":
    main()
