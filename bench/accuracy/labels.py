"""The labelled captures: what was injected, what may be said of it, and the files that each level of evidence has.

``truth.json`` beside each capture is the label; the README of its folder says what its fields mean.
"""

from __future__ import annotations

import gzip
import shutil
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROLLOUT: Final = "rollout"
HOME: Final = "rollout + log database"
TELEMETRY: Final = "rollout + OTLP"
TELEMETRY_ALONE: Final = "OTLP alone"
ALL: Final = "rollout + log database + OTLP"
GATEWAY: Final = "gateway's own files"

_WHICH_TURN: Final = {"i_orphan_kill_resume": 0}
"""The label is for a thread's last turn, but for these, where it is for another."""

_UUID_CHARS: Final = 36
_SIGNALS: Final = ("logs", "traces", "metrics")
_LEFT_OUT: Final = frozenset({"truth.json", "openclaw.json"})


class Label(NamedTuple):
    """What is known of one turn.

    ``expected`` is the right answer: a cause, or the state of a turn that needs none. ``accept`` are the answers that
    are honest at the capture's level of evidence. ``turn_id`` is None where the label is for turn ``number`` of the
    session, counted from its first one. ``accepted_ns`` is when it was accepted, where that is told: versions that do
    not write the turn's id down are told by it.
    """

    session_id: str
    turn_id: str | None
    number: int
    expected: str
    accept: frozenset[str]
    accepted_ns: int = 0


class Labelled(NamedTuple):
    """A capture at one level of evidence.

    ``now_ns`` is when its run was ended, ``findings`` are the kinds of contradiction that its stores hold.
    """

    source: str
    level: str
    name: str
    folder: Path
    now_ns: int
    labels: tuple[Label, ...]
    findings: frozenset[str] = frozenset()

    def lay_out(self, target: Path) -> None:
        """Copy what this level of evidence has into the empty folder *target*."""
        if self.level == GATEWAY:
            _copy(self.folder, target)
            return
        if self.level in {ROLLOUT, TELEMETRY}:
            _copy(self.folder / "home" / "sessions", target / "sessions")
        elif self.level in {HOME, ALL}:
            _copy(self.folder / "home", target)
        if self.level in {TELEMETRY, TELEMETRY_ALONE, ALL}:
            unwrap(self.folder / "otlp.jsonl.gz", target)


def codex(data: Path) -> Iterator[Labelled]:
    """Yield the Codex captures under *data*, each at every level of evidence that it has."""
    for path in sorted(data.glob("codex-lab/*/*/truth.json")):
        truth = orjson.loads(path.read_bytes())
        folder = path.parent
        levels = [(ROLLOUT, "rollout")]
        if any((folder / "home").glob("logs_*.sqlite")):
            levels.append((HOME, "rollout+logdb"))
        if (folder / "otlp.jsonl.gz").exists():
            if len(levels) > 1:
                levels.append((ALL, "rollout+logdb"))
            levels += [(TELEMETRY, "rollout+otlp"), (TELEMETRY_ALONE, "rollout+otlp")]
        for level, accepted in levels:
            # Without spans, a turn that ended without a word looks like one that goes on.
            unsure = {"not_determinable"} if level == TELEMETRY_ALONE else set()
            label = Label(
                session_id=truth["thread_id"] or _thread_of(folder),
                turn_id=None,
                number=_WHICH_TURN.get(truth["scenario"], -1),
                expected=truth["expected_class"],
                accept=frozenset({*truth["accept"][accepted], *unsure}),
            )
            name = f"{folder.parent.name}/{folder.name}"
            yield Labelled(f"Codex {truth['codex_version']}", level, name, folder, truth["ended_at_ns"], (label,))


def openclaw(data: Path) -> Iterator[Labelled]:
    """Yield the OpenClaw captures under *data*, each with all of its turns."""
    for path in sorted(data.glob("openclaw-lab/*/*/truth.json")):
        truth = orjson.loads(path.read_bytes())
        labels = tuple(map(_openclaw_label, truth.get("turns", ())))
        name = f"{path.parent.parent.name}/{path.parent.name}"
        now_ns = int(truth["horizon"] * 1e9)
        findings = frozenset(truth.get("findings") or ())
        yield Labelled(f"OpenClaw {truth['version']}", GATEWAY, name, path.parent, now_ns, labels, findings)


def unwrap(packed: Path, target: Path) -> None:
    """Write the export requests in *packed* as a collector's file exporter does: a file a signal, a request a line."""
    requests: dict[str, list[bytes]] = {signal: [] for signal in _SIGNALS}
    with gzip.open(packed) as file:
        for line in file:
            received = orjson.loads(line)
            requests[received["signal"]].append(orjson.dumps(received["body"]))
    target.mkdir(parents=True, exist_ok=True)
    for signal, bodies in requests.items():
        if bodies:
            (target / f"{signal}.jsonl").write_bytes(b"".join(body + b"\n" for body in bodies))


def _thread_of(folder: Path) -> str:
    """Return the thread that a capture is of, "" where it left no rollout."""
    return next((path.stem[-_UUID_CHARS:] for path in folder.glob("home/sessions/**/rollout-*.jsonl")), "")


def _openclaw_label(turn: dict[str, Any]) -> Label:
    state = turn["expected_state"]
    # A state that says all there is to do is an answer by itself; "failed" is none.
    states = {state, *turn.get("accept_states", [])} & {"healthy", "slow", "waiting", "cancelled"}
    return Label(
        session_id=turn["session_key"],
        turn_id=turn["run_id"],
        number=-1,
        expected=turn["expected_cause"] or state,
        accept=frozenset({*states, *turn["accept_causes"]}),
        accepted_ns=int(turn["t_accepted"] * 1e9),
    )


def _copy(folder: Path, target: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in _LEFT_OUT:
            copied = target / path.relative_to(folder)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copied)
