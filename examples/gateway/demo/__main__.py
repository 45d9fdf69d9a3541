"""Run the demo: ``python -m examples.gateway.demo``.

Starts a model server and a gateway on loopback, lets turns go wrong in every known way, kills the gateway, starts
another one, and asks ``analyze`` what became of each turn, while the stuck ones are still stuck. Exits with 1 when
a turn is judged otherwise than it was injected.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from examples.gateway.demo import judgement
from examples.gateway.demo.cases import CASES, KILLED_GATEWAY, YOUNG
from examples.gateway.demo.driver import Driver
from examples.gateway.demo.fleet import Fleet
from examples.gateway.history import message
from turnscope.phases import PHASES

if TYPE_CHECKING:
    from examples.gateway.demo.cases import Case

_ALL: Final = (*KILLED_GATEWAY, *CASES, *YOUNG)
_BUDGET_S: Final = (3.0, 4.0)
_TOOL_BUDGET_S: Final = (6.0, 8.0)
"""Longer, so that a tool that has just begun cannot grow past it while the demo asks for the verdict."""
_SETTLE_S: Final = 10.0
"""Longer than every budget: what is stuck at its end is stuck."""


def _budgets() -> dict[str, tuple[float, float]]:
    """Scale every limit down: seconds until slow, until stuck."""
    limited = [phase.name for phase in PHASES if phase.stuck_after_s is not None]
    return {name: _TOOL_BUDGET_S if name in {"tool_call", "approved"} else _BUDGET_S for name in limited}


def _write_old_history(data: Path, case: Case) -> None:
    record = json.dumps({"turn": "earlier", "item": message("user", "what was said long ago, at some length")}) + "\n"
    (data / f"{case.session}.jsonl").write_text(record * case.old_records, encoding="utf-8")


async def _play(fleet: Fleet, driver: Driver) -> tuple[str, str]:
    """Play every case and ask for the verdicts while the stuck turns are stuck."""
    first = fleet.gateway()
    driver.use(first.url)
    await driver.play(KILLED_GATEWAY)
    first.kill()

    driver.use(fleet.gateway().url)
    await driver.after_the_kill(KILLED_GATEWAY)
    await driver.play(CASES)
    print(f"demo: {len(driver.turns)} turns are where they should be; their budgets pass within {_SETTLE_S:g} s")
    await asyncio.sleep(_SETTLE_S)
    await driver.play(YOUNG)

    as_json = await asyncio.to_thread(judgement.analyze, fleet.journal, "--json")
    as_text = await asyncio.to_thread(judgement.analyze, fleet.journal)
    await driver.leave()
    return as_json, as_text


async def _run(folder: Path, data: Path) -> int:
    for case in _ALL:
        if case.old_records:
            _write_old_history(data, case)
    with socket.create_server(("127.0.0.1", 0)) as plugin, Fleet(folder, data, _budgets()) as fleet:
        # The kernel takes the plugin's connections, and nobody ever answers on them.
        address = f"127.0.0.1:{plugin.getsockname()[1]}"
        async with httpx.AsyncClient(timeout=10, limits=httpx.Limits(max_connections=None)) as http:
            driver = Driver(http, fleet.model.url, address)
            as_json, as_text = await _play(fleet, driver)
    print(as_text)
    wrong = judgement.wrong(_ALL, driver.turns, judgement.verdicts(as_json))
    if wrong:
        print(judgement.table(wrong))
    print(f"demo: {len(_ALL) - len(wrong)} of {len(_ALL)} turns judged as injected")
    return 1 if wrong else 0


def main() -> int:
    """Run everything and compare."""
    parser = argparse.ArgumentParser(description="Let turns get stuck, and see whether analyze can tell.")
    parser.add_argument("--folder", type=Path, help="where the journal goes; a new one under traces/ by default")
    folder: Path = parser.parse_args().folder or Path("traces") / time.strftime("demo-%Y%m%dT%H%M%SZ", time.gmtime())
    folder.mkdir(parents=True)
    print(f"demo: recording into {folder.resolve()}")
    with tempfile.TemporaryDirectory(prefix="gateway-") as data:
        return asyncio.run(_run(folder.resolve(), Path(data)))


if __name__ == "__main__":
    sys.exit(main())
