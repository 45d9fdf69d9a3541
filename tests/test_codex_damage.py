"""Rollouts that are torn, glued, overwritten or cut: bad records are put aside, the rest is read."""

from __future__ import annotations

import gzip
import random
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codex_kit import CAPTURES, SHARED, THREAD, Rollout, last, story, turns_of
from turnscope_analyzer.sources import rejects
from turnscope_analyzer.sources.codex.rollout import read_rollout

if TYPE_CHECKING:
    from pathlib import Path

    from turnscope_analyzer.model import Capture

ANY_EXAMPLE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TWO_TURNS = (CAPTURES / "0.142-two-turns.jsonl").read_bytes()
ALL = b"".join(path.read_bytes() for path in sorted(CAPTURES.glob("*.jsonl")))


@pytest.fixture
def rollout(tmp_path: Path) -> Rollout:
    return Rollout(tmp_path / f"rollout-2026-11-21T01-00-00-{THREAD}.jsonl").meta()


def reasons(read: Capture) -> list[str]:
    return [reject.reason for reject in read.rejects]


def read_bytes(folder: Path, content: bytes) -> Capture:
    path = folder / f"rollout-{THREAD}.jsonl"
    path.write_bytes(content)
    return read_rollout(path)


def test_a_record_glued_onto_a_torn_one_is_saved(rollout: Rollout) -> None:
    torn = b'{"timestamp":"2026-11-21T01:00:30.000Z","type":"response_item","payload":{"type":"message","con'
    started = b'{"timestamp":"2026-11-21T01:00:40.000Z","type":"event_msg","payload":{"type":"task_started",'
    rollout.started("t1").prompt().raw(torn + started + b'"turn_id":"t2","trace_id":"0"}}')
    read = rollout.prompt().answer().complete("t2").read()

    assert list(turns_of(read)) == ["t1", "t2"]
    assert story(read, 0)[-1] == "interrupted"
    assert reasons(read) == [f"cut off after {len(torn)} bytes"]
    accepted = next(mark for mark in read.marks if mark.turn_id == "t2")
    assert accepted.offset == read.rejects[0].offset + len(torn)


def test_a_record_glued_onto_a_long_torn_one_is_saved(rollout: Rollout) -> None:
    torn = b'{"timestamp":"2026-11-21T01:00:30.000Z","type":"response_item","payload":{"output":"' + b"x" * 300_000
    started = b'{"timestamp":"2026-11-21T01:00:40.000Z","type":"event_msg","payload":{"type":"task_started",'
    rollout.started("t1").prompt().raw(torn + started + b'"turn_id":"t2","trace_id":"0"}}')
    read = rollout.read()

    assert list(turns_of(read)) == ["t1", "t2"]
    assert reasons(read) == [f"torn after {len(torn)} bytes; the next record was glued onto it"]
    assert last(read, "started").offset == read.rejects[0].offset + len(torn)


def test_two_whole_records_on_one_line_are_both_read(rollout: Rollout) -> None:
    one = b'{"timestamp":"2026-11-21T01:00:30.000Z","type":"event_msg","payload":{"type":"user_message"}}'

    read = rollout.raw(one + one).read()

    assert (len(turns_of(read)), read.rejects) == (2, [])


def test_a_run_of_nul_bytes_before_a_record_costs_nothing_else(rollout: Rollout) -> None:
    one = b'{"timestamp":"2026-11-21T01:00:30.000Z","type":"event_msg","payload":{"type":"user_message"}}'

    read = rollout.raw(b"\0" * 5_000 + one).raw(b"\0" * 200_000).read()

    assert len(turns_of(read)) == 1
    assert reasons(read) == ["5000 NUL bytes", "no record in 200000 bytes"]
    assert read.marks[0].offset == read.rejects[0].offset + 5_000


def test_foreign_content_in_the_middle_is_put_aside_line_by_line(rollout: Rollout) -> None:
    foreign = [b"def main():\r    pass\r", b"\xff\xfe\x00x", b'"a string"', b"[1,2]", b'{"type":"other"}', b"", b"\r"]
    rollout.started("t1").prompt()
    for line in foreign:
        rollout.raw(line)

    read = rollout.answer().complete("t1").read()

    assert story(read)[-2:] == ["first_item 1", "completed"]
    assert len(read.rejects) == 5
    assert reasons(read)[-1] == "JSON, but no rollout record"


def test_a_last_line_that_was_cut_off_is_named(rollout: Rollout) -> None:
    rollout.started("t1").prompt().read()
    whole = rollout.path.read_bytes()

    read = read_bytes(rollout.path.parent, whole[:-40])

    assert story(read) == ["accepted", "started"]
    assert reasons(read) == [f"cut off after {len(whole.splitlines()[-1]) - 39} bytes"]


def test_a_packed_rollout_that_is_cut_keeps_the_records_before_the_cut(tmp_path: Path) -> None:
    whole = read_bytes(tmp_path, TWO_TURNS)

    read = read_bytes(tmp_path, gzip.compress(TWO_TURNS)[:-8])

    assert read.marks == whole.marks
    assert read.rejects[0].offset == len(TWO_TURNS)
    assert reasons(read) == ["the compressed data is damaged or cut off; what comes after cannot be read"]


def test_bad_records_beyond_the_cap_are_counted(rollout: Rollout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejects, "REJECT_CAP", 3)
    for _ in range(10):
        rollout.raw(b"x")

    assert reasons(rollout.read()) == [*["1 bytes that are no JSON object"] * 3, "and 7 more bad records"]


def test_no_reason_holds_what_was_in_the_record(rollout: Rollout) -> None:
    for text in (b"secret", b'{"timestamp":"secret', b'{"secret":1}', b"secret" * 50_000, b'{"type":"secret",}'):
        rollout.raw(text)

    assert "secret" not in str(rollout.read().rejects)


def test_a_turn_whose_start_is_lost_keeps_its_end(rollout: Rollout) -> None:
    read = rollout.raw(b"\xff" * 99).complete("t1").read()

    assert story(read) == ["completed"]


def test_a_clock_that_was_set_back_is_counted_and_keeps_the_order(rollout: Rollout) -> None:
    rollout.started("t1").prompt()
    rollout.raw(b'{"timestamp":"2026-11-20T23:00:00Z","type":"event_msg","payload":{"type":"agent_message"}}')
    read = rollout.raw(
        b'{"timestamp":"2026-11-20T23:00:05Z","type":"event_msg",'
        b'"payload":{"type":"task_complete","turn_id":"t1","last_agent_message":"x"}}'
    ).read()

    first, done = read.marks[-2:]
    assert (first.phase, done.phase) == ("first_item", "completed")
    assert done.at_ns - first.at_ns == done.wall_ns - first.wall_ns == 5_000_000_000
    assert read.processes[0].clock_steps == 1
    assert read.processes[0].horizon_ns == done.at_ns


def test_damaged_times_do_not_add_up_beyond_64_bits(rollout: Rollout) -> None:
    for year in (2199, 1970) * 5:
        rollout.raw(b'{"timestamp":"%d-01-01T00:00:00Z","type":"event_msg","payload":{"type":"user_message"}}' % year)

    assert max(mark.at_ns for mark in rollout.read().marks) < 2**63


def test_a_record_without_a_time_has_that_of_the_one_before(rollout: Rollout) -> None:
    read = rollout.prompt().raw(b'{"type":"event_msg","payload":{"type":"agent_message"}}').read()

    assert last(read, "first_item").wall_ns == read.marks[0].wall_ns


@given(cut=st.integers(0, len(TWO_TURNS)))
@ANY_EXAMPLE
def test_a_file_cut_anywhere_keeps_the_turns_that_had_ended(tmp_path: Path, cut: int) -> None:
    whole = read_bytes(tmp_path, TWO_TURNS)

    read = read_bytes(tmp_path, TWO_TURNS[:cut])

    assert _ended_before(read, cut) == _ended_before(whole, cut)
    assert len(read.rejects) <= 1


@given(at=st.integers(0, len(TWO_TURNS) - 1), flip=st.integers(1, 255))
@ANY_EXAMPLE
def test_a_damaged_byte_leaves_the_turns_before_it_as_they_were(tmp_path: Path, at: int, flip: int) -> None:
    whole = read_bytes(tmp_path, TWO_TURNS)

    read = read_bytes(tmp_path, TWO_TURNS[:at] + bytes([TWO_TURNS[at] ^ flip]) + TWO_TURNS[at + 1 :])

    assert _ended_before(read, at) == _ended_before(whole, at)


@given(seed=st.integers(0, 2**32), damages=st.integers(1, 40))
@ANY_EXAMPLE
def test_no_damage_raises(tmp_path: Path, seed: int, damages: int) -> None:
    chance = random.Random(seed)
    content = bytearray(ALL)
    for _ in range(damages):
        at = chance.randrange(len(content))
        if chance.random() < 0.3:
            del content[at : at + chance.randrange(3_000)]
        else:
            content[at : at + chance.randrange(9)] = chance.randbytes(chance.randrange(9))

    read = read_bytes(tmp_path, bytes(content))

    assert [mark.seq for mark in read.marks] == list(range(len(read.marks)))


@given(seed=st.integers(0, 2**32), value=st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3),
    max_leaves=6,
))  # fmt: skip
@ANY_EXAMPLE
def test_no_value_of_a_wrong_kind_raises(tmp_path: Path, seed: int, value: Any) -> None:
    chance = random.Random(seed)
    lines = ALL.splitlines()
    for at in chance.sample(range(len(lines)), 60):
        lines[at] = orjson.dumps(_with_one_replaced(orjson.loads(lines[at]), value, chance))

    read = read_bytes(tmp_path, b"\n".join(lines))

    assert all(-(2**63) <= number < 2**63 for mark in read.marks for number in (mark.at_ns, mark.wall_ns))
    assert all(type(fact) in (str, int, bool) for mark in read.marks for fact in mark.attrs.values())


@pytest.mark.skipif(not (SHARED / "codex-public").is_dir(), reason="the public captures are not here")
def test_a_public_rollout_with_a_broken_line_gives_the_rest() -> None:
    read = read_rollout(SHARED / "codex-public" / "shleder__rollout-fixture-malformed_jsonl.jsonl")

    assert story(read) == ["accepted", "started", "first_item 1"]
    assert len(read.rejects) == 1


def _ended_before(read: Capture, offset: int) -> list[tuple[object, ...]]:
    """Return the marks of the turns whose last record stands wholly before *offset*; the thread's name may be lost."""
    ended = [marks for marks in turns_of(read).values() if marks[-1].phase == "completed"]
    return [
        (mark.turn_id, mark.lane, mark.phase, mark.at_ns, mark.wall_ns, mark.offset, mark.attrs)
        for marks in ended
        if TWO_TURNS.find(b"\n", marks[-1].offset) < offset
        for mark in marks
    ]


def _with_one_replaced(content: Any, value: Any, chance: random.Random) -> Any:
    """Return *content* with one value somewhere inside replaced."""
    if not isinstance(content, (dict, list)) or not content or chance.random() < 0.1:
        return value
    if isinstance(content, list):
        at = chance.randrange(len(content))
        return [*content[:at], _with_one_replaced(content[at], value, chance), *content[at + 1 :]]
    name = chance.choice(sorted(content))
    return {**content, name: _with_one_replaced(content[name], value, chance)}
