"""The example gateway over real sockets: what its journal says, held against what the other side saw."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from examples.gateway.demo.cases import Case, Expected
from examples.gateway.demo.driver import Driver
from examples.gateway.demo.fleet import Fleet, Server
from examples.gateway.messages import Bug

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Mark = dict[str, Any]

ANSWERED = Expected("healthy")
HANGS = Expected("stuck")
FAILS = Expected("failed")


class Scene:
    """A fleet with one gateway, and clients to play cases against it."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.gateway = fleet.gateway()
        self.turns: dict[str, str] = {}

    def play(self, *cases: Case) -> None:
        asyncio.run(self._play(cases))

    async def _play(self, cases: tuple[Case, ...]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as plugin:
            async with httpx.AsyncClient(timeout=10) as http:
                driver = Driver(http, self.fleet.model.url, f"127.0.0.1:{plugin.getsockname()[1]}")
                driver.turns = self.turns
                driver.use(self.gateway.url)
                await driver.play(cases)

    def after_the_kill(self, *cases: Case) -> None:
        self.gateway.kill()
        self.gateway = self.fleet.gateway()
        asyncio.run(self._after_the_kill(cases))

    async def _after_the_kill(self, cases: tuple[Case, ...]) -> None:
        async with httpx.AsyncClient(timeout=10) as http:
            driver = Driver(http, self.fleet.model.url, "")
            driver.turns = self.turns
            driver.use(self.gateway.url)
            await driver.after_the_kill(cases)

    def marks(self, case: Case) -> list[Mark]:
        marks = {(mark["proc"], mark["seq"]): mark for mark in read_marks(self.fleet.journal)}
        own = (mark for mark in marks.values() if mark["turn"] == self.turns[case.name])
        return sorted(own, key=lambda mark: (mark["t"], mark["seq"]))

    def phases(self, case: Case, *kinds: str) -> list[str]:
        return [mark["phase"] for mark in self.marks(case) if mark["lane"].partition(":")[0] in kinds]

    def seen_by_the_model(self, case: Case) -> list[str]:
        seen = httpx.get(f"{self.fleet.model.url}/seen").json()
        return [request["step"] for request in seen if request["turn"] == self.turns[case.name]]


def read_marks(journal: Path) -> Iterator[Mark]:
    """Read a journal as its format is written down, without the library that wrote it."""
    for segment in sorted(journal.glob("*.jsonl")):
        text, _, _ = segment.read_bytes().partition(b"\0")
        whole_lines = text[: text.rfind(b"\n") + 1].splitlines()
        yield from (record for line in whole_lines if "turn" in (record := json.loads(line)))


def eventually(happened: Callable[[], bool]) -> bool:
    """Give the gateway a moment to read what the model has sent."""
    give_up = time.monotonic() + 5
    while not happened() and time.monotonic() < give_up:
        time.sleep(0.02)
    return happened()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with Fleet(tmp_path_factory.mktemp("traces"), tmp_path_factory.mktemp("data"), {}) as fleet:
        yield Scene(fleet)


def test_a_turn_with_tools_leaves_every_phase_of_its_path(scene: Scene) -> None:
    case = Case("two-tools", ANSWERED, plan="call run date + read_file README.md; text")

    scene.play(case)

    assert scene.phases(case, "turn") == ["accepted", "queued", "started", "completed"]
    assert scene.phases(case, "hydration") == ["hydration_started", "hydration_completed"]
    assert scene.phases(case, "tool") == ["tool_call", "tool_call", "tool_result", "tool_result"]
    request = ["upstream_sent", "response_headers", "first_byte", "first_event", "first_item", "upstream_completed"]
    assert scene.phases(case, "upstream") == request * 2


def test_a_retry_is_a_new_attempt_of_the_same_step(scene: Scene) -> None:
    case = Case("retried", ANSWERED, plan="reset; status 503; call run date; text")

    scene.play(case)

    sent = [mark["attrs"] for mark in scene.marks(case) if mark["phase"] == "upstream_sent"]
    assert [(attrs["step"], attrs["attempt"]) for attrs in sent] == [(1, 1), (1, 2), (1, 3), (2, 1)]
    failed = [mark["attrs"]["error_type"] for mark in scene.marks(case) if mark["phase"] == "upstream_failed"]
    assert failed == ["connection_reset", "server_error"]
    assert scene.seen_by_the_model(case) == ["reset", "status", "call", "text"]


def test_a_hung_request_stays_in_the_phase_that_it_reached(scene: Scene) -> None:
    reached = {
        Case("hung-black-hole", HANGS, plan="black_hole"): "upstream_sent",
        Case("hung-headers", HANGS, plan="headers"): "response_headers",
        Case("hung-keepalives", HANGS, plan="keepalives"): "first_byte",
        Case("hung-first-event", HANGS, plan="first_event"): "first_event",
        Case("hung-mid-text", HANGS, plan="mid_text"): "first_item",
        Case("hung-after-tool", HANGS, plan="call run date; black_hole"): "upstream_sent",
    }

    scene.play(*reached)

    assert eventually(lambda: all(scene.phases(case, "upstream")[-1] == phase for case, phase in reached.items()))


def test_a_failed_turn_says_why(scene: Scene) -> None:
    reasons = {
        Case("refused", FAILS, provider="refusing"): "connection_refused",
        Case("reset", FAILS, plan="reset"): "connection_reset",
        Case("cut", FAILS, plan="cut"): "stream_cut",
        Case("unfinished", FAILS, plan="unfinished"): "stream_cut",
        Case("overloaded", FAILS, plan="status 503"): "server_error",
        Case("wrong-key", FAILS, plan="unauthorized"): "unauthorized",
        Case("stalled", FAILS, plan="mid_text", read_timeout_s=0.2): "idle_timeout",
        Case("too-long", FAILS, plan="too_long"): "context_length_exceeded",
        Case("too-long-in-stream", FAILS, plan="too_long_in_stream"): "context_length_exceeded",
    }

    scene.play(*reasons)

    ends = {case: scene.marks(case)[-1] for case in reasons}
    assert {case.name: end["phase"] for case, end in ends.items()} == {case.name: "failed" for case in reasons}
    said = {case.name: end["attrs"]["error_type"] for case, end in ends.items()}
    assert said == {case.name: reason for case, reason in reasons.items()}


@pytest.mark.parametrize(
    "case",
    [
        Case("stopped", Expected("cancelled", None, "cancelled"), plan="mid_text", client="stops"),
        Case("ignored", Expected("stuck", None, "still_running"), plan="mid_text", bug=Bug.IGNORE_STOP, client="stops"),
        Case("too-late", Expected("healthy", None, "already_completed"), client="stops_when_ended"),
        Case(
            "not-reached",
            Expected("healthy", None, "failed"),
            plan="call run sleep 0.5; text",
            bug=Bug.STALE_PID,
            client="stops",
        ),
    ],
    ids=lambda case: case.name,
)
def test_a_stop_comes_to_one_of_the_results(scene: Scene, case: Case) -> None:
    scene.play(case)

    results = [mark["attrs"]["result"] for mark in scene.marks(case) if mark["phase"] == "cancel_result"]
    assert results == [case.expected.cancel]
    ended = {"cancelled": ["cancelled"], "stuck": [], "healthy": ["completed"]}[case.expected.state]
    assert scene.phases(case, "turn")[3:] == ended


def test_a_client_that_left_has_seen_less_than_its_turn_sent(scene: Scene) -> None:
    case = Case("left", ANSWERED, plan="text 0.5", client="leaves")

    scene.play(case)

    cursors = {mark["phase"]: mark["attrs"].get("cursor") for mark in scene.marks(case) if "attrs" in mark}
    assert 2 <= cursors["renderer_detached"] < cursors["completed"]


def test_a_dropped_message_leaves_its_acceptance_and_nothing_else(scene: Scene) -> None:
    case = Case("dropped", HANGS, bug=Bug.DROP_MESSAGE)

    scene.play(case)

    assert [mark["phase"] for mark in scene.marks(case)] == ["accepted"]


def test_nothing_that_was_said_is_in_the_journal(scene: Scene) -> None:
    case = Case("confidential-words", ANSWERED, plan="call run echo a-secret-output; text")

    scene.play(case)

    marks = json.dumps([{**mark, "session": ""} for mark in scene.marks(case)])
    for said in (case.name, "a-secret-output", "was answered"):
        assert said not in marks


def test_a_killed_gateway_is_recovered_and_a_turn_goes_on_under_its_id(tmp_path: Path) -> None:
    lost = Case("lost", HANGS, plan="mid_text")
    resumed = Case("resumed", ANSWERED, plan="mid_text", client="resumes_when_lost")
    stopped = Case("stopped", Expected("orphaned", None, "unknown"), plan="mid_text", client="stops_when_lost")
    data = tmp_path / "data"
    data.mkdir()
    with Fleet(tmp_path / "traces", data, {}) as fleet:
        scene = Scene(fleet)
        scene.play(lost, resumed, stopped)

        scene.after_the_kill(lost, resumed, stopped)

        for case in (lost, stopped):
            end = scene.marks(case)[-1 if case is lost else -3]
            assert (end["phase"], end["attrs"]["recovered"]) == ("interrupted", True)
        assert scene.phases(resumed, "turn") == ["accepted", "queued", "started", "interrupted", "started", "completed"]
        assert len({mark["proc"] for mark in scene.marks(resumed)}) == 2
        assert scene.marks(stopped)[-1]["attrs"]["result"] == "unknown"


def test_a_plan_with_an_unknown_step_is_refused_by_name(scene: Scene) -> None:
    request = {"input": [], "stream": True, "metadata": {"plan": "text; explode"}}

    response = httpx.post(f"{scene.fleet.model.url}/v1/responses", json=request)

    assert response.status_code == 400
    assert "explode" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "message", [[], {"text": 1}, {"text": "a", "inject": {"bug": "x"}}, {"text": "a", "inject": {"x": 1}}]
)
def test_a_message_that_makes_no_sense_is_not_accepted(scene: Scene, message: object) -> None:
    response = httpx.post(f"{scene.gateway.url}/sessions/nonsense/messages", json=message)

    assert response.status_code == 400
    assert "nonsense" not in {mark["session"] for mark in read_marks(scene.fleet.journal)}


def test_a_server_that_cannot_start_is_an_error_and_no_wait() -> None:
    with pytest.raises(RuntimeError, match="ended with 2"):
        Server("examples.gateway", "--no-such-option")
