"""Turns that took long are told from those with a long wait without a close look: the verdicts are the same."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from bench.generate import write_journal
from journal_kit import SECOND_NS, line
from segment_kit import NOW_NS, header, told, whole_turn, write
from turnscope_analyzer.analyze import analyze
from turnscope_analyzer.engine import Engine

if TYPE_CHECKING:
    from pathlib import Path

    from turnscope_analyzer.model import Report

STEP_S = 50
"""Seconds between two marks of a steady turn: less than any budget."""

Step = tuple[str, str, float, dict[str, object]]
"""Phase, lane, seconds since the turn began, attributes."""

REQUEST: list[Step] = [
    ("accepted", "turn", 0, {}),
    ("started", "turn", STEP_S, {}),
    ("upstream_sent", "upstream:1", 2 * STEP_S, {}),
    ("first_item", "upstream:1", 3 * STEP_S, {}),
    ("upstream_completed", "upstream:1", 4 * STEP_S, {}),
    ("completed", "turn", 5 * STEP_S, {}),
]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passes in which waits were measured."""
    built: list[str] = []
    build = Engine.build

    def counting(self: Engine, *statements: str) -> None:
        built.extend(name for name in statements if name == "core/15_paces")
        build(self, *statements)

    monkeypatch.setattr(Engine, "build", counting)
    return built


def lines(turn: str, seq: int, steps: list[Step]) -> bytes:
    ordered = sorted(enumerate(steps), key=lambda step: step[1][2])
    return b"".join(
        line(seq + place, turn, phase, lane, at_s=at_s, attrs=attrs) for place, (phase, lane, at_s, attrs) in ordered
    )


def stream(chunks: int, *, silent_s: float, last_s: float) -> dict[str, object]:
    """Return what the end of a stream says: its longest silence, and how long after the begin its last chunk came."""
    return {"chunks": chunks, "max_gap": int(silent_s * SECOND_NS), "progress_at": int((50 + last_s) * SECOND_NS)}


def says_the_same(folder: Path, **question: Any) -> Report:
    """Return the report on *folder*, which says the same as one that looks at every turn closely."""
    glanced = analyze([folder], now_ns=NOW_NS, **question)
    closely = analyze([folder], now_ns=NOW_NS, everything=True, **question)

    every = told(closely)
    assert told(glanced) == {turn: every[turn] for turn in told(glanced)}
    assert {every[turn][0] for turn in every.keys() - told(glanced).keys()} <= {"healthy"}
    assert len(glanced.turns) + glanced.healthy == len(every)
    return glanced


def test_a_long_turn_without_a_long_wait_is_only_counted(tmp_path: Path, looks: list[str]) -> None:
    write(tmp_path, header(), lines("long", 1, REQUEST))

    report = says_the_same(tmp_path)

    assert (report.turns, report.healthy) == ((), 1)
    assert looks == ["core/15_paces"]


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ([], "healthy"),
        ([("tool_call", "tool:a", 155, {}), ("tool_result", "tool:a", 160, {})], "healthy"),
        ([("upstream_completed", "upstream:1", 320, {}), ("completed", "turn", 330, {})], "slow"),
        ([("renderer_attached", "renderer:v", 250, {}), ("renderer_attached", "renderer:w", 300, {}),
          ("completed", "turn", 350, {}),
          ("renderer_detached", "renderer:v", 360, {}), ("renderer_detached", "renderer:w", 370, {})], "slow"),
        ([("daydreamed", "upstream:1", 250, {}), ("daydreamed", "upstream:1", 300, {}),
          ("completed", "turn", 350, {})], "slow"),
        ([("first_item", "cancel", 250, {}), ("first_item", "renderer:w", 300, {}),
          ("completed", "turn", 350, {})], "slow"),
        ([("upstream_completed", "upstream:1", 270, stream(9, silent_s=5, last_s=265)),
          ("upstream_sent", "upstream:2", 205, {}), ("upstream_completed", "upstream:2", 260, {}),
          ("completed", "turn", 275, {})], "healthy"),
        ([("upstream_completed", "upstream:1", 290, stream(9, silent_s=130, last_s=285)),
          ("upstream_sent", "upstream:2", 205, {}), ("upstream_completed", "upstream:2", 260, {}),
          ("completed", "turn", 295, {})], "slow"),
        ([("upstream_completed", "upstream:1", 290, stream(9, silent_s=5, last_s=160)),
          ("upstream_sent", "upstream:2", 205, {}), ("upstream_completed", "upstream:2", 260, {}),
          ("completed", "turn", 295, {})], "slow"),
    ],
    ids=["request", "tool", "wait", "behind-a-client", "behind-what-is-not-known", "behind-another-lane's-phase",
         "stream", "silent-stream", "silent-end-of-stream"],
)  # fmt: skip
def test_a_long_wait_is_seen_whatever_it_hides_behind(tmp_path: Path, more: list[Step], state: str) -> None:
    replaced = {(phase, lane) for phase, lane, _, _ in more}
    steps = [step for step in REQUEST if step[:2] not in replaced] + more
    write(tmp_path, header(), lines("t1", 1, steps), lines("t2", 100, REQUEST))

    report = says_the_same(tmp_path)

    assert analyze([tmp_path], now_ns=NOW_NS, turn="t1").turns[0].state == state
    assert report.healthy == (2 if state == "healthy" else 1)


def test_a_budget_that_is_shorter_than_a_wait_brings_a_long_turn_into_view(tmp_path: Path) -> None:
    write(tmp_path, header(), lines("long", 1, REQUEST))
    says_the_same(tmp_path)

    report = says_the_same(tmp_path, budgets={"upstream_sent": 1})

    assert [verdict.state for verdict in report.turns] == ["slow"]


@pytest.mark.parametrize("seed", range(8))
def test_any_long_turns_get_the_verdicts_that_a_close_look_gives(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    turns = [lines(f"t{number}", 100 * number + 1, any_turn(rng)) for number in range(120)]
    write(tmp_path, header(), *turns)

    report = says_the_same(tmp_path)

    assert 20 < report.healthy < 100


def any_turn(rng: random.Random) -> list[Step]:
    """Return a turn of many minutes: requests, tools and lookers-on side by side, most of its waits short."""
    at_s = 0.0
    steps: list[Step] = [("accepted", "turn", at_s, {})]
    for number in range(rng.randrange(4, 12)):
        begin_s = at_s + rng.choice([1, 20, STEP_S])
        end_s = begin_s + rng.choice([1, 30, STEP_S, STEP_S + 9] * 9 + [61, 150])
        lane, opens, ends = rng.choice(
            [(f"upstream:{number}", "upstream_sent", "upstream_completed")] * 4
            + [(f"tool:{number}", "tool_call", "tool_result")]
        )
        streamed = rng.random() < 0.3 and lane.startswith("upstream")
        silent_s = rng.choice([1, 40] * 9 + [70, 130])
        attrs = stream(3, silent_s=silent_s, last_s=end_s - rng.choice([1, 30])) if streamed else {}
        steps += [(opens, lane, begin_s, {}), (ends, lane, end_s, attrs)]
        at_s = rng.choice([end_s] * 3 + [begin_s])
    if rng.random() < 0.3:
        came_s = rng.uniform(0, at_s)
        steps += [("renderer_attached", "renderer:w", came_s, {}), ("renderer_detached", "renderer:w", 3600, {})]
    if rng.random() < 0.05:
        steps.append((rng.choice(["daydreamed", "cancel_requested"]), "cancel", at_s, {}))
    ended_s = max(step[2] for step in steps if step[0] != "renderer_detached") + 1
    return [*steps, ("completed", "turn", ended_s, {})] if rng.random() < 0.95 else steps


def test_of_a_journal_of_long_turns_the_waits_are_measured_once(tmp_path: Path, looks: list[str]) -> None:
    write_journal(tmp_path / "traces", 20_000, mix="agentic", processes=2, segment_bytes=256 << 10)

    first, second = (analyze([tmp_path / "traces"]) for _ in range(2))

    assert first == second
    assert looks == ["core/15_paces"]
    assert first.healthy > 150
    every = told(analyze([tmp_path / "traces"], everything=True))
    assert told(first) == {turn: every[turn] for turn in told(first)}
    assert {every[turn][0] for turn in every.keys() - told(first).keys()} == {"healthy"}


def test_a_turn_that_was_looked_at_closely_is_counted_once_when_many_turns_are_long(
    tmp_path: Path, looks: list[str]
) -> None:
    write(tmp_path, header(), lines("long", 1, REQUEST), *(whole_turn(f"w{n}", 10 * n, n) for n in range(1, 9)))
    few = says_the_same(tmp_path)
    write(
        tmp_path, header(segment=2), *(lines(f"long{n}", 10 * n, REQUEST) for n in range(10, 30)), name="second.jsonl"
    )

    many = says_the_same(tmp_path)

    assert (few.healthy, len(few.turns)) == (8, 1)
    assert (many.healthy, len(many.turns)) == (28, 1)
    assert looks == ["core/15_paces"]


def test_what_was_steady_is_looked_at_again_where_more_of_it_turns_up(tmp_path: Path, looks: list[str]) -> None:
    first, second = lines("long", 1, REQUEST).splitlines(keepends=True)[:3], lines("long", 1, REQUEST)
    write(tmp_path, header(), *first, name="a.jsonl")
    write(tmp_path, header(segment=2), second, name="b.jsonl")
    before = says_the_same(tmp_path)
    late = line(50, "long", "upstream_failed", "upstream:2", at_s=900)
    write(tmp_path, header(segment=3), line(49, "long", "upstream_sent", "upstream:2", at_s=700), late, name="c.jsonl")

    after = says_the_same(tmp_path)

    assert (before.healthy, after.healthy) == (1, 0)
    assert looks == ["core/15_paces"] * 2
