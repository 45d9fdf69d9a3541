"""What a Claude Code transcript's records say about its turns, and what they leave open."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import orjson
import pytest

from claude_kit import SESSION, Transcript
from codex_kit import SHARED, story, turns_of
from turnscope.attributes import ATTRIBUTES, ERROR_KIND
from turnscope.phases import PHASE, lane_kind
from turnscope_analyzer.analyze import analyze
from turnscope_analyzer.sources.claude.transcript import is_claude

if TYPE_CHECKING:
    from pathlib import Path

    from turnscope_analyzer.model import Verdict

AN_HOUR_LATER_NS = int(datetime.datetime(2026, 11, 21, 2, tzinfo=datetime.timezone.utc).timestamp()) * 10**9


@pytest.fixture
def transcript(tmp_path: Path) -> Transcript:
    return Transcript(tmp_path / f"{SESSION}.jsonl")


@pytest.fixture
def second_turn(transcript: Transcript) -> Transcript:
    """A transcript whose first turn went well, and that has a second prompt."""
    transcript.user(permissionMode="bypassPermissions").answer().note("turn_duration", durationMs=1_000)
    return transcript.user()


def judged(transcript: Transcript) -> Verdict:
    """Return the verdict on the last turn, an hour later."""
    verdicts = analyze([transcript.write()], now_ns=AN_HOUR_LATER_NS, everything=True).turns
    return max(verdicts, key=lambda verdict: verdict.accepted_ns or 0)


# -- records and marks ------------------------------------------------------------------------------------


def test_a_turn_with_a_tool_is_two_requests_and_a_continuation(transcript: Transcript) -> None:
    read = transcript.user().call().output().answer().read()

    assert story(read) == [
        "accepted",
        "started",
        "first_item 1",
        "tool_call toolu_1",
        "upstream_completed 1",
        "tool_result toolu_1",
        "continuation",
        "first_item 2",
        "upstream_completed 2",
        "completed",
    ]
    assert [mark.attrs["step"] for mark in read.marks if mark.phase == "first_item"] == [1, 2]


def test_the_parts_of_one_response_are_one_request(transcript: Transcript) -> None:
    transcript.user().answer({"type": "thinking", "thinking": "x"}, stop=None)

    read = transcript.part({"type": "text", "text": "Done."}, stop="end_turn").read()

    assert story(read)[2:] == ["first_item 1", "upstream_completed 1", "completed"]


def test_a_response_that_a_hook_sends_back_to_work_does_not_end_the_turn(transcript: Transcript) -> None:
    read = transcript.user().answer().user("Stop hook feedback", isMeta=True).answer().read()

    assert len(turns_of(read)) == 1
    assert story(read).count("completed") == 1
    assert story(read)[-2:] == ["upstream_completed 2", "completed"]


def test_an_interrupt_ends_the_turn_and_what_stands_behind_it_begins_one(transcript: Transcript) -> None:
    stopped = [{"type": "text", "text": "[Request interrupted by user]"}, {"type": "text", "text": "Do this instead."}]
    read = transcript.user().call().add("user", message={"role": "user", "content": stopped}).answer().read()

    assert story(read, 0)[-1] == "interrupted"
    assert story(read, 1)[-1] == "completed"


def test_neither_notes_to_the_model_nor_local_commands_are_prompts(transcript: Transcript) -> None:
    transcript.user("<command-name>/cost</command-name>").user("<local-command-stdout>1</local-command-stdout>")
    transcript.user("A note.", isMeta=True).user("The summary.", isCompactSummary=True)

    assert turns_of(transcript.read()) == {}


def test_a_command_that_the_model_answers_is_a_turn_from_the_command_on(transcript: Transcript) -> None:
    read = transcript.user("<command-name>/review</command-name>").user("Review this.", isMeta=True).answer().read()

    assert story(read)[0] == "accepted"
    assert read.marks[0].offset == 0


def test_a_side_chain_is_a_conversation_of_its_own(transcript: Transcript) -> None:
    transcript.user().call("toolu_1", "Task")
    parent = transcript.user("Look around.", isSidechain=True, parentUuid=None).lines[-1]
    transcript.answer(isSidechain=True, parentUuid=orjson.loads(parent)["uuid"])

    read = transcript.output().answer().read()

    assert [story(read, turn)[-1] for turn in (0, 1)] == ["completed", "completed"]
    assert "tool_result toolu_1" in story(read, 0)
    assert len({mark.process_id for mark in read.marks}) == 2


def test_a_compaction_began_as_long_ago_as_it_says_that_it_took(transcript: Transcript) -> None:
    facts = {"trigger": "auto", "preTokens": 150_000, "durationMs": 90_000}
    read = (
        transcript.user().call().output().note("compact_boundary", after_s=120, compactMetadata=facts).answer().read()
    )

    begun, done = (mark for mark in read.marks if mark.lane == "compaction")
    assert (begun.attrs["trigger"], begun.attrs["tokens"]) == ("auto", 150_000)
    assert done.at_ns - begun.at_ns == 90_000_000_000


@pytest.mark.parametrize(
    ("text", "error_type", "status"),
    [
        ("API Error: 529 Overloaded. This is a server-side issue.", "server_error", 529),
        ("You've hit your session limit · resets 11:30am", "rate_limited", None),
        ("Prompt is too long", "context_length_exceeded", None),
        ("API Error: Stream idle timeout - partial response received", "idle_timeout", None),
        ("API Error: Connection lost mid-response.", "stream_cut", None),
        ("API Error: Unable to connect to API (ECONNREFUSED)", "connection_refused", None),
        ("Invalid API key · Please run /login", "unauthorized", None),
        ("API Error: 403 Forbidden", "forbidden", 403),
        ("Error: Error during compaction: Error: Conversation too long.", "compaction_failed", None),
        ("Something else", "other", None),
    ],
)
def test_the_error_that_is_shown_ends_the_turn_with_its_kind(
    transcript: Transcript, text: str, error_type: str, status: int | None
) -> None:
    end = transcript.user().shown_error(text).read().marks[-1]

    assert (end.phase, end.attrs["error_type"], end.attrs.get("status")) == ("failed", error_type, status)


def test_attempts_are_counted_until_one_succeeds(transcript: Transcript) -> None:
    transcript.user().note("api_error", error={"status": 529}, retryAttempt=1)
    read = transcript.note("api_error", error={"connection": {"code": "ECONNRESET"}}, retryAttempt=2).answer().read()

    failed = [mark.attrs for mark in read.marks if mark.phase == "upstream_failed"]
    assert [(attrs["attempt"], attrs["error_type"]) for attrs in failed] == [
        (1, "server_error"),
        (2, "connection_reset"),
    ]
    assert story(read)[-3:] == ["first_item 3", "upstream_completed 3", "completed"]


def test_only_known_phases_and_attributes_are_used(second_turn: Transcript) -> None:
    second_turn.call(name="AskUserQuestion").output().note("api_error", error={"status": 429})
    second_turn.note("compact_boundary", compactMetadata={"trigger": "auto", "durationMs": 1}).shown_error("x")
    known = {attribute.name for attribute in ATTRIBUTES}

    for mark in second_turn.read().marks:
        assert PHASE[mark.phase].lane == lane_kind(mark.lane)
        assert mark.attrs.keys() <= known
        assert mark.attrs.get("error_type", "other") in ERROR_KIND


# -- verdicts ---------------------------------------------------------------------------------------------


def test_silence_after_a_tool_is_a_lost_continuation(second_turn: Transcript) -> None:
    verdict = judged(second_turn.call().output())

    assert (verdict.state, verdict.cause, verdict.confidence) == ("stuck", "continuation_loss", "possible")


def test_silence_after_a_failed_attempt_is_transport(second_turn: Transcript) -> None:
    verdict = judged(second_turn.note("api_error", error={"status": 529}, retryAttempt=1))

    assert (verdict.state, verdict.cause) == ("stuck", "transport")


def test_silence_amid_a_response_is_a_stalled_model(second_turn: Transcript) -> None:
    verdict = judged(second_turn.answer({"type": "thinking", "thinking": "x"}, stop=None))

    assert (verdict.state, verdict.cause) == ("stuck", "model_stall")


def test_silence_after_the_prompt_has_no_cause_that_the_file_could_show(second_turn: Transcript) -> None:
    verdict = judged(second_turn)

    assert (verdict.cause, verdict.confidence) == ("unknown", "possible")


def test_a_question_waits_for_a_person(second_turn: Transcript) -> None:
    assert judged(second_turn.call(name="AskUserQuestion")).state == "waiting"


def test_a_prompt_that_nobody_takes_out_of_the_queue_is_blocked(second_turn: Transcript) -> None:
    second_turn.call()
    for text in ("First.", "Second.", "<task-notification>x</task-notification>"):
        second_turn.add("queue-operation", operation="enqueue", content=text)
    second_turn.add("queue-operation", operation="remove", content="First.", reason="absorbed_mid_turn")

    verdict = judged(second_turn)

    assert (verdict.state, verdict.cause, verdict.phase) == ("stuck", "queue_blocked", "queued")
    assert b"Second." in second_turn.lines[-3]
    assert verdict.evidence[0].offset == len(b"\n".join(second_turn.lines[:-3])) + 1


def test_a_prompt_that_was_taken_out_of_the_queue_is_no_other_turn(second_turn: Transcript) -> None:
    second_turn.answer().add("queue-operation", operation="enqueue", content="Go on.")
    second_turn.add("queue-operation", operation="dequeue").user("Go on.", promptSource="queued").answer()

    assert [story(second_turn.read(), turn)[-1] for turn in range(3)] == ["completed"] * 3
    assert len(turns_of(second_turn.read())) == 3


def test_a_turn_whose_responses_do_not_say_how_they_stopped_cannot_be_judged(transcript: Transcript) -> None:
    transcript.user().answer(stop=None).user().answer(stop=None)

    verdicts = analyze([transcript.write()], now_ns=AN_HOUR_LATER_NS, everything=True).turns

    assert [verdict.state for verdict in verdicts] == ["not_determinable", "healthy"]


def test_a_turn_that_the_user_left_amid_its_work_cannot_be_judged(second_turn: Transcript) -> None:
    second_turn.call().output().user().answer()

    verdicts = analyze([second_turn.write()], now_ns=AN_HOUR_LATER_NS, everything=True).turns

    assert sorted(verdict.state for verdict in verdicts) == ["healthy", "healthy", "not_determinable"]


def test_a_transcript_is_told_by_its_content(transcript: Transcript) -> None:
    head = transcript.user().write().read_bytes()

    assert is_claude(transcript.path, head)
    assert is_claude(transcript.path, b'{"type":"summary","summary":"x","leafUuid":"y"}\n')
    assert not is_claude(transcript.path, b'{"type":"message","isSidechain":"no"}\n')
    assert not is_claude(transcript.path, b'{"text":"\\"isSidechain\\":false,"}\n')


@pytest.mark.skipif(not (SHARED / "claude-public").is_dir(), reason="the public transcripts are not here")
def test_public_transcripts_are_read_whole() -> None:
    report = analyze([SHARED / "claude-public"], everything=True)

    assert report.rejects == ()
    assert {verdict.state for verdict in report.turns} == {"healthy", "not_determinable"}
