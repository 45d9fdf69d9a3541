"""An OpenClaw state folder (``~/.openclaw``) and its logs, read together: marks, processes and contradictions."""

from __future__ import annotations

import os
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.model import Capture, Process
from turnscope_analyzer.sources.openclaw.ending import Ending, ending_of
from turnscope_analyzer.sources.openclaw.findings import of_rows, of_shadow, of_turn
from turnscope_analyzer.sources.openclaw.folder import Folder
from turnscope_analyzer.sources.openclaw.gateway import fate_of_boot, fate_of_lock, own_folders
from turnscope_analyzer.sources.openclaw.places import canonical_of, kind_of, nearest, root_of
from turnscope_analyzer.sources.openclaw.story import marks_of, shows_requests
from turnscope_analyzer.sources.openclaw.turns import Turn, turns_of
from turnscope_analyzer.sources.opened import size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from turnscope_analyzer.model import Fate

SOURCE: Final = "openclaw"

_SLACK_NS: Final = 5_000_000_000
_PREPARING_NS: Final = 60_000_000_000
"""Before a run's prompt is submitted, 20 s were seen to pass."""

_WHY: Final[dict[Fate, str]] = {
    "running": "now: the gateway lives on this host",
    "ended": "the last record before the gateway stopped",
    "killed": "the last record of a gateway that is gone and said no goodbye",
    "unknown": "the last record; whether the gateway still lives cannot be told from here",
}


def is_openclaw(path: Path, head: bytes) -> bool:
    """Tell whether a file is one of OpenClaw's that says something about its turns."""
    return kind_of(path, head) is not None


def read_openclaw(files: Sequence[Path], progress: Callable[[int], None]) -> Iterator[Capture]:
    """Read the files of one or more state folders, a capture a folder; *progress* gets the bytes done.

    A folder that lies in the shadow of another one that is read, too, gives a finding and no turns: its sessions are
    copies of the other's, or what a tool did that looked in the wrong place.
    """
    folders: dict[Path, list[Path]] = {}
    logs = []
    for path in files:
        root = root_of(path)
        if root is None:
            logs.append(path)
        else:
            folders.setdefault(root, []).append(path)
    roots = [root for root in folders if canonical_of(root) not in folders]
    for path in logs:
        folders.setdefault(nearest(path, roots), []).append(path)
    read = {}
    for root, paths in folders.items():
        folder = read[root] = Folder(root)
        # The JSONL log says more than the console's, so it goes first.
        for path in sorted(paths, key=lambda path: (path.name == "console.log", path)):
            folder.read(path)
            progress(size_of(path))
    for root, folder in read.items():
        canonical = read.get(canonical_of(root) or root)
        if canonical is None or canonical is folder or _is_link(folders[root], root):
            yield _Gateways(folder).capture()
            continue
        capture = Capture(rejects=folder.rejects)
        capture.findings += of_shadow(folder, canonical, folders[root])
        capture.left_alone["sessions of a shadow store"] += len(folder.rows)
        yield capture


class _Gateways:
    """The processes that wrote one folder, and which of them each turn ran under."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.turns = turns_of(folder)
        self._boots = sorted(folder.boots or folder.logged_boots, key=lambda boot: boot.started_ns)
        self._in_place = is_in_place(folder)
        times = [turn.latest_ns for turn in self.turns]
        times += [at for row in folder.rows for at in (row.updated_ns, row.interaction_ns, row.ended_ns) if at]
        times += [boot.ended_ns or boot.started_ns for boot in self._boots]
        times += [lock.created_ns for lock in folder.locks.values() if lock.created_ns]
        self._times = sorted([*times, folder.latest[0]])
        self._processes: dict[str, Process] = {}

    def capture(self) -> Capture:
        folder = self.folder
        capture = Capture(rejects=folder.rejects, left_alone=folder.left_alone)
        owners = {name: turn.turn_id for turn in self.turns for name in turn.names}
        endings = {id(turn): self._ending(turn) for turn in self.turns}
        for before, turn in pairwise(self.turns):
            accepted, ended = turn.accepted(), endings[id(before)]
            if before.session_id == turn.session_id and accepted is not None and ended is not None:
                turn.behind = accepted.at_ns < ended.at_ns and before.began_ns < accepted.at_ns
        for turn in self.turns:
            locked, ending = self._locked(turn), endings[id(turn)]
            process = self._process(turn, ending)
            capture.marks += marks_of(turn, ending, process)
            restarted = self._boot(turn) not in (None, len(self._boots) - 1)
            gone = process.fate in ("killed", "ended")
            capture.findings += of_turn(turn, ending, locked=locked, restarted=restarted, gone=gone)
        capture.findings += of_rows(folder.rows)
        capture.processes += self._processes.values()
        capture.names |= {name: turn_id for name, turn_id in owners.items() if name != turn_id}
        capture.names |= {
            trace: owners.get(run_id, run_id) for trace, run_id in folder.runs_of.items() if trace not in folder.shared
        }
        if folder.tasks:
            capture.left_alone["background tasks"] += folder.tasks
        return capture

    def _ending(self, turn: Turn) -> Ending | None:
        """Return how the turn ended; of the versions that lock sessions, also where only the lock's absence tells."""
        ending = ending_of(turn, locked=self._locked(turn))
        running = turn.row is not None and turn.row.running
        begun = turn.first("started", "user", "prompted") is not None
        locks = bool(self.folder.rows) and self.folder.store is None and turn.has("transcript", "trajectory")
        if ending is not None or running or self._locked(turn) or not (begun and locks):
            return ending
        last = max(turn.entries, key=lambda entry: entry.at_ns)
        # A run that prepares its prompt has no lock yet.
        preparing = self._times[-1] - last.at_ns < _PREPARING_NS
        return None if preparing else Ending(last.at_ns, "interrupted", last.where, {})

    def _locked(self, turn: Turn) -> bool:
        return turn.session_id in self.folder.locks and not turn.superseded

    def _boot(self, turn: Turn) -> int | None:
        """Return which boot the turn began under."""
        began_ns = turn.began_ns + _SLACK_NS
        return next((n for n, boot in reversed(list(enumerate(self._boots))) if boot.started_ns <= began_ns), None)

    def _fate(self, turn: Turn, number: int | None, ending: Ending | None) -> Fate:
        if self._locked(turn):
            fate = fate_of_lock(self.folder.locks[turn.session_id], in_place=self._in_place)
            if fate != "unknown":
                return fate
        elif ending is None and self.folder.rows and self.folder.store is None and not turn.has("transcript"):
            # Without a lock nothing runs; but whether the run had ended before its gateway did is not on file.
            return "unknown"
        if number is None:
            return "unknown"
        boot = self._boots[number]
        if number < len(self._boots) - 1:
            return "killed" if boot.ended_ns is None else "ended"
        store = self.folder.store
        if store is None:
            return "unknown" if boot.ended_ns is None else "ended"
        return fate_of_boot(boot, store, in_place=self._in_place)

    def _process(self, turn: Turn, ending: Ending | None) -> Process:
        number = self._boot(turn)
        fate = self._fate(turn, number, ending)
        shows = shows_requests(turn)
        name = f"openclaw:{self.folder.root}:{number}:{fate}:{'requests' if shows else 'answers'}"
        if name not in self._processes:
            self._processes[name] = Process(
                process_id=name,
                source=SOURCE,
                fate=fate,
                horizon_ns=self._horizon(number, fate),
                horizon_why=_WHY[fate],
                file=self._file(number),
                shows_requests=shows,
                detail=2 if shows else 1,
                gaps=tuple(self.folder.gaps),
            )
        return self._processes[name]

    def _horizon(self, number: int | None, fate: Fate) -> int:
        if fate == "running":
            return time.time_ns()
        later = self._boots[number + 1 :] if number is not None else []
        own = [at for at in self._times if not later or at < later[0].started_ns]
        return max(own, default=0)

    def _file(self, number: int | None) -> str:
        if self.folder.latest[0]:
            return self.folder.latest[1]
        return str(self.folder.root) if number is None else self._boots[number].where.file


def is_in_place(folder: Folder) -> bool:
    """Tell whether the folder lies where its gateway runs: on this host, and not as a copy."""
    if os.path.realpath(folder.root) in own_folders():
        return True
    return any(
        row.file is not None
        and os.path.realpath(Path(row.file).parent) == os.path.realpath(Path(row.where.file).parent)
        for row in folder.rows
    )


def _is_link(files: Sequence[Path], root: Path) -> bool:
    """Tell whether a shadow's files are the canonical ones under another name, as the advice against shadows has it."""
    return all(os.path.realpath(path) != str(path) and root not in path.resolve().parents for path in files)
