"""Claude Code transcripts that are torn, glued, overlong or overwritten: the rest is read."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from claude_kit import SESSION, Transcript
from codex_kit import story
from turnscope_analyzer.sources.claude.records import CAP_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from turnscope_analyzer.model import Capture


@pytest.fixture
def transcript(tmp_path: Path) -> Transcript:
    return Transcript(tmp_path / f"{SESSION}.jsonl")


def reasons(read: Capture) -> list[str]:
    return [reject.reason for reject in read.rejects]


def test_a_record_glued_onto_a_torn_one_is_saved(transcript: Transcript) -> None:
    transcript.user().answer()
    transcript.lines[-1:] = [transcript.lines[-1][:90] + transcript.lines[-1]]

    read = transcript.read()

    assert story(read)[-1] == "completed"
    assert reasons(read) == ["cut off after 90 bytes"]


def test_a_record_too_long_to_hold_is_told_by_its_ends(transcript: Transcript) -> None:
    transcript.user().call().output(toolUseResult={"stdout": "x" * (CAP_BYTES + 1)}).answer()

    read = transcript.read()

    assert "tool_result toolu_1" in story(read)
    assert (story(read)[-1], read.rejects) == ("completed", [])


def test_what_is_no_record_is_put_aside_without_its_content(transcript: Transcript) -> None:
    transcript.user().raw(b"secret").raw(b'{"secret":1}').raw(b"\0" * 99).answer()

    read = transcript.read()

    assert story(read)[-1] == "completed"
    assert reasons(read) == ["6 bytes that are no JSON object", "JSON, but no transcript record", "99 NUL bytes"]


def test_no_damage_raises_and_marks_keep_their_order(transcript: Transcript) -> None:
    transcript.user().call().output().note("api_error", error={"status": 529}).answer().user().call()
    whole, chance = b"\n".join(transcript.lines), random.Random(3)
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(chance.randrange(1, 20)):
            at = chance.randrange(len(content))
            content[at : at + chance.randrange(9)] = chance.randbytes(chance.randrange(9))
        transcript.lines = [bytes(content)]

        marks = transcript.read().marks

        assert [mark.seq for mark in marks] == list(range(len(marks)))
        assert all(type(fact) in (str, int, bool) for mark in marks for fact in mark.attrs.values())
