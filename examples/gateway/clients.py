"""Keep a gateway busy: ``python -m examples.gateway.clients --gateway http://127.0.0.1:8000``.

Turns that end well, turns that fail, and always one that hangs until its client stops it: something to see on the
dashboards. For turns that go wrong in every known way, and are judged, there is the demo.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ENDING: Final = (
    "text 1",
    "call run date + read_file README.md; text 0.5",
    "reset; text 0.5",
    "text 3",
    "status 503",
    "call run sleep 1; text",
    "text 0.2",
    "cut",
    "too_long",
    "text 2",
    "unauthorized",
)
"""Plans of turns that end by themselves, well or not (``model_server/behaviours.py``)."""

HANGING: Final = ("headers", "black_hole", "call run date; headers", "first_event", "keepalives")
"""Plans of turns that do not."""

_ENDED: Final = frozenset({"completed", "failed", "stopped"})
_POLL_S: Final = 0.1


class Client:
    """Sends messages to a gateway, each in a session of its own."""

    def __init__(self, http: httpx.AsyncClient, name: str) -> None:
        self._http, self._name = http, name
        self._numbers = itertools.count(1)

    async def send(self, plan: str) -> str:
        """Send a message whose turn follows *plan*; return the path of the turn."""
        session = f"/sessions/{self._name}-{next(self._numbers)}"
        sent = await self._http.post(f"{session}/messages", json={"text": plan, "inject": {"plan": plan}})
        return f"{session}/turns/{sent.raise_for_status().json()['turn']}"

    async def until_ended(self, turn: str) -> str:
        """Wait for the end of a turn and return what it came to."""
        while (state := (await self._http.get(turn)).raise_for_status().json()["state"]) not in _ENDED:
            await asyncio.sleep(_POLL_S)
        return str(state)

    async def stop(self, turn: str) -> str:
        """Stop a turn and return what that came to."""
        return str((await self._http.post(f"{turn}/stop")).raise_for_status().json()["result"])


async def _let_end(client: Client, pause_s: float) -> None:
    for plan in itertools.cycle(ENDING):
        await client.until_ended(await client.send(plan))
        await asyncio.sleep(pause_s)


async def _let_hang(client: Client, hang_s: float) -> None:
    for plan in itertools.cycle(HANGING):
        turn = await client.send(plan)
        await asyncio.sleep(hang_s)
        await client.stop(turn)
        await asyncio.sleep(hang_s / 2)


async def _again(play: Callable[[], Awaitable[None]]) -> None:
    """Begin anew whenever the gateway cannot be reached: it may not be there yet, or be restarted."""
    while True:
        with contextlib.suppress(httpx.HTTPError):
            await play()
        await asyncio.sleep(1)


async def _keep_busy(url: str, pause_s: float, hang_s: float) -> None:
    run = int(time.time())  # no session of an earlier run is met again
    async with httpx.AsyncClient(base_url=url, timeout=10) as http:
        busy, hung = Client(http, f"busy-{run}"), Client(http, f"hung-{run}")
        await asyncio.gather(
            _again(partial(_let_end, busy, pause_s)),
            _again(partial(_let_hang, hung, hang_s)),
        )


async def _for(lifetime_s: float, url: str, pause_s: float, hang_s: float) -> None:
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(_keep_busy(url, pause_s, hang_s), lifetime_s)


def main() -> None:
    """Parse the arguments and go on until the lifetime is over."""
    parser = argparse.ArgumentParser(description="Keep the example gateway busy.")
    parser.add_argument("--gateway", required=True, metavar="URL")
    parser.add_argument("--pause", type=float, default=1, metavar="SECONDS", help="between turns that end")
    parser.add_argument("--hang", type=float, default=60, metavar="SECONDS", help="until a hung turn is stopped")
    parser.add_argument("--lifetime", type=float, default=120, metavar="SECONDS", help="end after so long")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_for(arguments.lifetime, arguments.gateway, arguments.pause, arguments.hang))


if __name__ == "__main__":
    main()
