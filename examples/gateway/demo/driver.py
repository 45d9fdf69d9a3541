"""The clients of the demo: they send the messages, watch, leave, approve and stop, over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from examples.gateway.model_server.plan import steps

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

    import httpx

    from examples.gateway.demo.cases import Case

_PATIENCE_S = 30
_POLL_S = 0.05
_ENDED = {"completed", "failed", "stopped"}


class FaultDidNotHappenError(Exception):
    """A turn did not get where its case wants it; no verdict about it would mean anything."""


class Driver:
    """Plays cases against a gateway.

    Attributes:
        turns: The turn id of each case that was played, by the case's name.
    """

    def __init__(self, http: httpx.AsyncClient, model_url: str, plugin: str) -> None:
        self._http, self._model_url, self._plugin = http, model_url, plugin
        self._gateway_url = ""
        self._watching: list[asyncio.Task[None]] = []
        self.turns: dict[str, str] = {}

    def use(self, gateway_url: str) -> None:
        """Talk to this gateway from now on."""
        self._gateway_url = gateway_url

    async def play(self, cases: Iterable[Case]) -> None:
        """Send the message of each case in order, let its client act, and wait until each fault is there."""
        clients = []
        for case in cases:
            sent = await self._post(f"/sessions/{case.session}/messages", _message(case, self._plugin))
            self.turns[case.name] = sent["turn"]
            clients.append(asyncio.create_task(self._be_client(case)))
        await asyncio.gather(*clients)

    async def after_the_kill(self, cases: Iterable[Case]) -> None:
        """Let the clients of lost turns act on the gateway that came after."""
        for case in cases:
            if case.client == "stops_when_lost":
                await self._stop(case)
            elif case.client == "resumes_when_lost":
                await self._post(f"{self._turn(case)}/resume", {"text": case.name})
                await self._until(case, "its end", partial(self._ended, case))

    async def leave(self) -> None:
        """Detach every client that still watches."""
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)

    async def _be_client(self, case: Case) -> None:
        if act := _ACTS.get(case.client):
            await act(self, case)
        await self._until_there(case)

    async def _watch(self, case: Case) -> None:
        self._watching.append(asyncio.create_task(self._read(case, cursor=0, count=None)))

    async def _leave(self, case: Case) -> None:
        await self._read(case, cursor=0, count=2)

    async def _come_back(self, case: Case) -> None:
        await self._read(case, cursor=0, count=2)
        await self._read(case, cursor=2, count=None)

    async def _approve(self, case: Case) -> None:
        async for event in self._events(case, cursor=0):
            if event["type"] == "approval_wanted":
                await self._post(f"{self._turn(case)}/approvals/{event['call_id']}", {"allow": True})

    async def _stop_running(self, case: Case) -> None:
        if case.behind is None:
            await self._until(case, "its first event", partial(self._began, case))
        await self._stop(case)

    async def _stop_ended(self, case: Case) -> None:
        await self._until(case, "its end", partial(self._ended, case))
        await self._stop(case)

    async def _stop(self, case: Case) -> None:
        response = await self._http.post(f"{self._gateway_url}{self._turn(case)}/stop", timeout=_PATIENCE_S)
        result = response.json()["result"]
        if result != case.expected.cancel:
            raise FaultDidNotHappenError(f"{case.name}: the stop came to {result}, not {case.expected.cancel}")

    async def _until_there(self, case: Case) -> None:
        """Wait until the model did what the plan says and, where the turn is to end, until it ended."""
        for purpose, plan in (("turn", case.plan), ("compaction", case.compaction_plan)):
            if plan != "text":
                step = _decisive_step(plan)
                await self._until(case, step, partial(self._model_did, case, purpose, step))
        if case.expected.state in {"healthy", "failed", "cancelled"} and not case.client.endswith("when_lost"):
            await self._until(case, "its end", partial(self._ended, case))

    async def _until(self, case: Case, what: str, there: Callable[[], Awaitable[bool]]) -> None:
        give_up = time.monotonic() + _PATIENCE_S
        while not await there():
            if time.monotonic() > give_up:
                raise FaultDidNotHappenError(f"{case.name}: no {what} within {_PATIENCE_S} s")
            await asyncio.sleep(_POLL_S)

    async def _model_did(self, case: Case, purpose: str, step: str) -> bool:
        seen = (await self._http.get(f"{self._model_url}/seen")).json()
        wanted = (self.turns[case.name], purpose, step)
        return any((request["turn"], request["purpose"], request["step"]) == wanted for request in seen)

    async def _began(self, case: Case) -> bool:
        return bool((await self._state(case))["events"])

    async def _ended(self, case: Case) -> bool:
        return (await self._state(case))["state"] in _ENDED

    async def _state(self, case: Case) -> dict[str, Any]:
        response = await self._http.get(f"{self._gateway_url}{self._turn(case)}")
        state: dict[str, Any] = response.raise_for_status().json()
        return state

    async def _read(self, case: Case, *, cursor: int, count: int | None) -> None:
        """Attach, read *count* events or all of them, and detach."""
        async with contextlib.aclosing(self._events(case, cursor=cursor)) as events:
            async for _ in events:
                if count is not None and (count := count - 1) == 0:
                    return

    async def _events(self, case: Case, *, cursor: int) -> AsyncGenerator[dict[str, Any]]:
        url = f"{self._gateway_url}{self._turn(case)}/events"
        async with self._http.stream("GET", url, params={"cursor": cursor, "client": "demo"}, timeout=None) as response:
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    yield json.loads(line[len("data:") :])

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = await self._http.post(f"{self._gateway_url}{path}", json=body)
        answer: dict[str, Any] = response.raise_for_status().json()
        return answer

    def _turn(self, case: Case) -> str:
        return f"/sessions/{case.session}/turns/{self.turns[case.name]}"


_ACTS: Final[dict[str, Callable[[Driver, Case], Awaitable[None]]]] = {
    "watches": Driver._watch,
    "leaves": Driver._leave,
    "comes_back": Driver._come_back,
    "approves": Driver._approve,
    "stops": Driver._stop_running,
    "stops_when_ended": Driver._stop_ended,
}
"""Client -> what it does once its message is sent."""


def _message(case: Case, plugin: str) -> dict[str, Any]:
    inject = {
        "plan": case.plan,
        "compaction_plan": case.compaction_plan,
        "provider": case.provider,
        "plugin": plugin if case.hung_plugin else None,
        "read_timeout_s": case.read_timeout_s,
        "bug": case.bug,
    }
    return {"text": case.name, "inject": inject}


def _decisive_step(plan: str) -> str:
    """Return the step that shows that the fault is there: the last one, or the first where the last is an answer."""
    names = [step.name for step in steps(plan)]
    return names[-1] if names[-1] != "text" else names[0]
