from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

import pytest

import turnscope
from turnscope.recorder import turn_id_at
from turnscope.testing import START_NS

if TYPE_CHECKING:
    from turnscope.testing import Recording


def test_a_turn_is_accepted_started_and_completed(recording: Recording) -> None:
    with turnscope.turn("chat-17") as turn:
        pass

    assert turn.id == "turn-1"
    assert recording.phases() == ["accepted", "started", "completed"]
    assert {mark["session"] for mark in recording.marks()} == {"chat-17"}


def test_a_line_has_the_keys_of_the_format_in_their_order(recording: Recording) -> None:
    turnscope.accept("s").mark("started", doing="hydrating")

    assert recording.journal.lines[-1] == (
        b'{"turn":"turn-1","session":"s","lane":"turn","phase":"started","t":%d,"m":1000000000,"seq":2,'
        b'"proc":"000000000001","attrs":{"doing":"hydrating"}}\n' % START_NS
    )


def test_accept_alone_leaves_a_turn_that_nobody_started(recording: Recording) -> None:
    turnscope.accept("s")

    assert recording.phases() == ["accepted"]
    assert list(recording.recorder.turns) == ["turn-1"]


def test_a_prompt_leaves_only_its_size_and_the_head_of_its_hash(recording: Recording) -> None:
    turnscope.accept("s", prompt="grüße")

    attrs = recording.last()["attrs"]
    assert attrs["prompt_bytes"] == 7
    assert re.fullmatch("[0-9a-f]{16}", attrs["prompt_sha256"])
    assert "grüße".encode() not in recording.journal.lines[0]


def test_an_error_of_the_body_passes_untouched_and_ends_the_turn_as_failed(recording: Recording) -> None:
    error = ConnectionResetError("peer")

    with pytest.raises(ConnectionResetError) as caught, turnscope.turn("s"):
        raise error

    assert caught.value is error
    assert error.__cause__ is None
    assert error.__context__ is None
    assert recording.last()["phase"] == "failed"
    assert recording.last()["attrs"] == {"error_type": "connection_reset", "error_class": "ConnectionResetError"}


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_body_that_is_stopped_is_interrupted(recording: Recording, stop: type[BaseException]) -> None:
    with pytest.raises(stop), turnscope.turn("s"):
        raise stop

    assert recording.last()["phase"] == "interrupted"
    assert recording.last()["attrs"] == {"error_class": stop.__name__}


def test_a_turn_keeps_the_kind_that_its_lane_gave_the_error(recording: Recording) -> None:
    with pytest.raises(TimeoutError), turnscope.turn("s") as turn, turn.upstream():
        raise TimeoutError

    kinds = [mark["attrs"]["error_type"] for mark in recording.marks() if "error_type" in mark.get("attrs", {})]
    assert kinds == ["headers_timeout", "headers_timeout"]


def test_only_the_first_terminal_phase_counts(recording: Recording) -> None:
    turn = turnscope.accept("s")

    turn.complete()
    turn.fail("server_error")
    turn.cancelled()
    turn.mark("interrupted")

    assert recording.phases() == ["accepted", "completed"]


def test_of_many_threads_that_end_a_turn_one_does(recording: Recording) -> None:
    turn = turnscope.accept("s")
    ready = threading.Barrier(8)

    def end() -> None:
        ready.wait()
        turn.complete()

    threads = [threading.Thread(target=end) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert recording.phases() == ["accepted", "completed"]


def test_a_turn_that_ended_may_still_lose_its_client(recording: Recording) -> None:
    turn = turnscope.accept("s")
    with turn.renderer("web"):
        turn.complete()

    assert recording.phases() == ["accepted", "renderer_attached", "completed", "renderer_detached"]


def test_an_explicit_end_inside_the_body_is_the_end(recording: Recording) -> None:
    with turnscope.turn("s") as turn:
        turn.fail("context_length_exceeded")

    assert recording.phases() == ["accepted", "started", "failed"]
    assert recording.last()["attrs"] == {"error_type": "context_length_exceeded"}


def test_an_unknown_phase_is_counted_and_not_written(recording: Recording) -> None:
    turnscope.accept("s").mark("thinking")

    assert recording.phases() == ["accepted"]
    assert recording.journal.drops == {"unknown_phase": 1}


def test_a_resumed_turn_is_not_accepted_again(recording: Recording) -> None:
    with turnscope.resume("abc", "s"):
        pass

    assert recording.phases("abc") == ["started", "completed"]
    assert recording.marks("abc")[0]["attrs"]["resumed"] is True


def test_the_cursor_of_a_turn_stands_in_its_end(recording: Recording) -> None:
    with turnscope.turn("s") as turn:
        turn.emitted(41)

    assert recording.last()["attrs"] == {"cursor": 41}


def test_ids_of_other_types_become_strings(recording: Recording) -> None:
    turn = turnscope.accept(17, turn_id=4)  # type: ignore[arg-type] # what a careless gateway hands in

    assert (turn.session, turn.id) == ("17", "4")


def test_default_ids_are_short_ordered_in_time_and_differ() -> None:
    ids = [turn_id_at(START_NS + second * 1_000_000_000) for second in range(100)]

    assert ids == sorted(ids)
    assert all(re.fullmatch("[0-9a-z]{12}", turn_id) for turn_id in ids)
    assert len({turn_id_at(START_NS) for _ in range(1000)}) == 1000


def test_the_carry_tells_what_an_open_turn_waits_in(recording: Recording) -> None:
    ended = turnscope.accept("s")
    ended.complete()
    with turnscope.turn("s") as turn, turn.upstream() as upstream:
        upstream.headers(200)
        with turn.tool("search"):
            pass

        carried = list(recording.recorder.carry())

    seqs = [int(re.findall(rb'"seq":(\d+)', line)[0]) for line in carried]
    phases = [re.findall(rb'"phase":"(\w+)"', line)[0].decode() for line in carried]
    assert phases == ["accepted", "started", "response_headers", "tool_result"]
    assert seqs == sorted(seqs)
    assert all(line in recording.journal.lines for line in carried)
    assert list(recording.recorder.carry()) == []


def test_a_record_that_is_too_long_keeps_its_mark(recording: Recording) -> None:
    many = {f"name{number}": "x " * 125 for number in range(300)}

    turnscope.accept("s").mark("started", None, status=200, **many)

    assert recording.last()["attrs"] == {"status": 200}
    assert recording.journal.drops == {"capped": 1}


def test_numbers_that_json_cannot_hold_do_not_lose_the_mark(recording: Recording) -> None:
    turnscope.accept("s").mark("started", bytes=2**80, ratio=float("nan"))

    assert recording.last()["attrs"] == {"bytes": "<int of 81 bits>", "ratio": None}


def test_marks_of_many_threads_have_seqs_of_their_own(recording: Recording) -> None:
    turn = turnscope.accept("s")

    def work(name: str) -> None:
        for _ in range(200):
            with turn.tool("search", call_id=name):
                pass

    threads = [threading.Thread(target=work, args=(f"call{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    seqs = [mark["seq"] for mark in recording.marks()]
    assert sorted(seqs) == list(range(1, 1602))
    assert next(recording.recorder.carry()) == recording.journal.lines[0]
