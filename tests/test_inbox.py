from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import orjson

import turnscope
from turnscope import testing
from turnscope.inbox import Inbox

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_prompt_is_on_disk_before_its_turn_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[list[str]] = []
    fsync = os.fsync

    with testing.recorder(inbox=tmp_path / "inbox") as recording:

        def note_and_sync(fd: int) -> None:
            synced.append(recording.phases())
            fsync(fd)

        monkeypatch.setattr(os, "fsync", note_and_sync)
        turnscope.accept("s", turn_id="t", prompt="grüße")

    (path,) = (tmp_path / "inbox").iterdir()
    assert orjson.loads(path.read_bytes()) == {"turn": "t", "session": "s", "t": testing.START_NS, "prompt": "grüße"}
    assert synced == [[], []]
    assert path.name == "e3b98a4da31a127d4bde6e43033f66ba.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_end_of_the_turn_takes_the_prompt_away(tmp_path: Path) -> None:
    with testing.recorder(inbox=tmp_path), turnscope.turn("s", prompt="hello"):
        assert len(list(tmp_path.iterdir())) == 1

    assert list(tmp_path.iterdir()) == []


def test_without_an_inbox_no_prompt_is_kept(tmp_path: Path) -> None:
    turnscope.configure(tmp_path)
    try:
        turnscope.accept("s", prompt="do not keep me")
    finally:
        turnscope.shutdown()

    assert not (tmp_path / "inbox").exists()
    assert all(b"keep me" not in path.read_bytes() for path in tmp_path.iterdir())


def test_an_inbox_that_cannot_be_written_does_not_keep_the_turn_from_running(tmp_path: Path) -> None:
    (tmp_path / "inbox").write_text("in the way")

    with testing.recorder(inbox=tmp_path / "inbox") as recording, turnscope.turn("s", prompt="hello"):
        pass

    assert recording.phases() == ["accepted", "started", "completed"]
    assert recording.marks()[0]["attrs"]["prompt_bytes"] == 5
    assert recording.journal.drops["guard"] == 2


def test_a_resumed_turn_may_put_its_prompt_back(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    with testing.recorder(inbox=tmp_path):
        turn = turnscope.resume("t", "s", prompt="hello")
        assert inbox.prompt_of("t") == "hello"
        turn.complete()

    assert inbox.prompt_of("t") is None


def test_a_prompt_that_is_damaged_is_none(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.put("t", "s", 0, "hello")
    (path,) = tmp_path.iterdir()

    for damaged in (b'{"turn":"t","prom', b"[]", b'{"prompt":5}'):
        path.write_bytes(damaged)
        assert inbox.prompt_of("t") is None


def test_prompts_that_nobody_came_back_for_go_with_their_age(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.put("old", "s", 0, "hello")
    os.utime(next(tmp_path.iterdir()), (1000, 1000))
    inbox.put("new", "s", 0, "hello")

    inbox.forget_before(2000)

    assert (inbox.prompt_of("old"), inbox.prompt_of("new")) == (None, "hello")
