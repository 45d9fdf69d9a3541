"""A thread of the real Codex that has become too large: what is told and handed over of it, and `turnscope rescue`."""

from __future__ import annotations

import json
import logging
import os
import struct
import time
import zlib
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from lab.binary import VERSIONS, binary, is_new
from lab.codex import PROMPT, AppServer
from lab.scenarios import APP, Case, Scenario
from lab.stage import until
from turnscope_analyzer import cli
from turnscope_analyzer.repair.owners import RECENT_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

    from lab.home import Home
    from lab.model import Model
    from lab.stage import Stage

pytestmark = pytest.mark.lab
log = logging.getLogger(__name__)

LIMIT_BYTES = 5_000_000
"""A request with more input than this is refused as a whole."""

IMAGE_BYTES = 1_500_000
SMALL_BYTES = 100_000
GREW = Scenario("grew", f"fits {LIMIT_BYTES}", ("turn",), APP)


@dataclass
class Scene:
    """A thread that nothing more can be said in: its pictures are sent again with every request."""

    version: str
    home: Home
    model: Model
    codex: AppServer
    statuses: list[str] = field(default_factory=list)

    def ask(self, *images: str) -> str:
        """Go on in the thread and return how the turn ended."""
        self.codex.prompt(*images)
        return self.ended()

    def ended(self) -> str:
        """Wait for the next turn's end, and return how it ended."""
        until(lambda: len(self._ends()) > len(self.statuses), "end of the turn")
        self.statuses = self._ends()
        return self.statuses[-1]

    def _ends(self) -> list[str]:
        ends = [said["params"]["turn"] for said in self.codex.said if said.get("method") == "turn/completed"]
        return [str(turn["status"]) for turn in ends]

    def compact(self) -> str:
        """Have the thread compacted and return how that ended."""
        self.codex.compact()
        return self.ended()

    def rescue(self, *options: str) -> Result:
        """Run the command on the thread, by its id."""
        arguments = ["rescue", self.codex.thread, "--home", str(self.home.path), *options]
        return CliRunner().invoke(cli.main, arguments)

    def leave(self) -> None:
        """End Codex, and wait until what it wrote last is no longer taken for a sign of life."""
        self.codex.leave()
        time.sleep(RECENT_S)

    def resume(self, thread: str) -> None:
        """Let a new process go on with *thread*."""
        program = binary(self.version)
        assert program is not None
        self.codex, self.statuses = AppServer(program, self.home, thread), []

    def listed(self) -> list[str]:
        """Return the turns that a client would show, oldest first."""
        turns = self.codex.request("thread/turns/list", threadId=self.codex.thread)["data"]
        return [str(turn["id"]) for turn in reversed(turns)]


@pytest.fixture(params=VERSIONS)
def scene(request: pytest.FixtureRequest, stage: Stage) -> Iterator[Scene]:
    version = request.param
    home, model = stage.set_up(
        Case(GREW, "app-server", version), f"rescue-{request.node.name}".translate(str.maketrans("[].", "---"))
    )
    program = binary(version)
    assert program is not None
    scene = Scene(version, home, model, AppServer(program, home))
    try:
        ends = [scene.ask(image(), image()) for _ in range(2)]
        assert ends == ["completed", "failed"]
        yield scene
    finally:
        scene.codex.close()


def image() -> str:
    """Return a picture of noise that no program finds fault with."""
    side = int((IMAGE_BYTES / 3) ** 0.5)
    rows = b"".join(b"\0" + os.urandom(side * 3) for _ in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )
    return "data:image/png;base64," + b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(chunks)).decode()


def test_a_thread_too_large_to_compact_answers_again_after_the_rescue(scene: Scene) -> None:
    assert scene.compact() == "failed"
    before_bytes = scene.model.seen[-1].input_bytes
    turns = len(scene.statuses)
    thread = scene.codex.thread
    [rollout] = scene.home.rollouts()
    scene.leave()
    large = rollout.read_bytes()

    rescued = scene.rescue("--apply")

    assert rescued.exit_code == cli.EXIT_OK, rescued.output
    scene.resume(thread)
    assert scene.ask() == "completed"
    after_bytes = scene.model.seen[-1].input_bytes
    log.info("Codex %s uploads %d bytes, and %d after the rescue", scene.version, before_bytes, after_bytes)
    assert before_bytes > LIMIT_BYTES
    assert after_bytes < SMALL_BYTES
    if is_new(scene.version):
        assert len(scene.listed()) == turns + 1
    assert scene.compact() == "completed"
    assert scene.ask() == "completed"
    scene.leave()
    added = rollout.read_bytes()

    undone = scene.rescue("--undo")

    assert undone.exit_code == cli.EXIT_OK, undone.output
    assert rollout.read_bytes().startswith(large)
    assert added.endswith(rollout.read_bytes()[len(large) :])
    scene.resume(thread)
    if is_new(scene.version):
        assert len(scene.listed()) == turns + 3


def test_the_handoff_of_a_thread_that_cannot_answer_is_written(scene: Scene, tmp_path: Path) -> None:
    assert scene.compact() == "failed"
    thread = scene.codex.thread
    scene.leave()
    path = tmp_path / f"handoff-{thread}.md"

    for arguments in ([thread, "--home", str(scene.home.path)], ["--auto", str(scene.home.path)]):
        written = CliRunner().invoke(cli.main, ["handoff", *arguments, "--out", str(tmp_path)])

        assert written.exit_code == cli.EXIT_OK, written.output
        assert [one.name for one in tmp_path.iterdir()] == [path.name], written.output
        text = path.read_text("utf-8")
        path.unlink()
        assert f"# Handoff of thread {thread}" in text
        assert text.count(f"> {PROMPT}\n> [image]\n> [image]\n") == 2, "the goal and the last request"
        assert "## What was in flight\n\nTurn 3 failed" in text
        assert "base64" not in text
        assert len(text.encode()) <= 32_768


def test_it_is_told_that_the_context_is_pictures(scene: Scene) -> None:
    arguments = ["context", scene.codex.thread, "--home", str(scene.home.path), "--json"]

    told = json.loads(CliRunner().invoke(cli.main, arguments).stdout)

    # Codex holds on to its thread meanwhile: nothing is written.
    assert told["next_request"]["origins"]["image"]["images"] == 4
    assert told["reclaimable"]["bytes"] > 4 * IMAGE_BYTES
    assert told["reclaimable"]["bytes_after"] < SMALL_BYTES * 2


def test_pictures_stay_pictures_in_the_request(scene: Scene) -> None:
    thread = scene.codex.thread
    scene.leave()
    assert scene.rescue("--apply").exit_code == cli.EXIT_OK

    scene.resume(thread)
    assert scene.ask() == "completed"

    contents = [item["content"] for item in scene.model.inputs[-1] if isinstance(item.get("content"), list)]
    images = [part["image_url"] for content in contents for part in content if part["type"] == "input_image"]
    assert len(images) == 4
    assert {len(url) < 512 and url.startswith("data:image/png;base64,") for url in images} == {True}


def test_a_thread_that_codex_holds_is_refused_and_its_fork_answers(scene: Scene) -> None:
    [rollout] = scene.home.rollouts()
    content = rollout.read_bytes()

    refused = scene.rescue("--apply")

    assert refused.exit_code == cli.EXIT_ERROR
    assert "is in use" in refused.stderr
    assert rollout.read_bytes() == content
    forked = scene.rescue("--fork", "--apply")
    assert forked.exit_code == cli.EXIT_OK, forked.output
    held = scene.codex
    scene.resume(forked.stdout.partition("codex resume ")[2].split()[0])
    try:
        assert scene.ask() == "completed"
        assert scene.model.seen[-1].input_bytes < SMALL_BYTES
        assert rollout.read_bytes() == content
    finally:
        held.close()
