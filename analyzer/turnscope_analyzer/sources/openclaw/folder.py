"""One state folder of OpenClaw with the logs that belong to it: all that is on file, not yet put together."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from turnscope_analyzer.sources.openclaw.database import read_agent_store, read_state_store
from turnscope_analyzer.sources.openclaw.gateway import read_lock
from turnscope_analyzer.sources.openclaw.gateway_log import read_log
from turnscope_analyzer.sources.openclaw.places import kind_of
from turnscope_analyzer.sources.openclaw.records import Runs, json_lines
from turnscope_analyzer.sources.openclaw.rows import read_rows
from turnscope_analyzer.sources.openclaw.timeline import read_timeline
from turnscope_analyzer.sources.openclaw.trajectory import feed_trajectory
from turnscope_analyzer.sources.openclaw.transcript import Transcript
from turnscope_analyzer.sources.opened import head_of
from turnscope_analyzer.sources.rejects import Rejects, unreadable

if TYPE_CHECKING:
    from pathlib import Path

    from turnscope_analyzer.model import Gap, Reject
    from turnscope_analyzer.sources.openclaw.gateway import Boot, Lock
    from turnscope_analyzer.sources.openclaw.records import Entry
    from turnscope_analyzer.sources.openclaw.rows import Row


class Folder:
    """What the files of one state folder say.

    ``keys`` are sessions' keys by session id; ``runs_of`` is the run that a trace was last named with, and ``shared``
    are the traces of more than one; ``logged`` are the spans of time that a log has told of; ``latest`` is the last
    time that any file names, and the file.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows: list[Row] = []
        self.keys: dict[str, str] = {}
        self.transcripts: dict[str, Transcript] = defaultdict(Transcript)
        self.runs = Runs()
        self.locks: dict[str, Lock] = {}
        self.boots: list[Boot] = []
        self.logged_boots: list[Boot] = []
        self.logged: list[tuple[int, int]] = []
        self.gaps: list[Gap] = []
        self.runs_of: dict[str, str] = {}
        self.shared: set[str] = set()
        self.sent_by_key: dict[str, list[Entry]] = {}
        self.tasks = 0
        self.store: Path | None = None
        self.latest = (0, str(root))
        self.rejects: list[Reject] = []
        self.left_alone: Counter[str] = Counter()

    def see(self, at_ns: int, path: Path) -> None:
        """Take in that something was written at *at_ns*."""
        if at_ns > self.latest[0]:
            self.latest = (at_ns, str(path))

    def trace(self, trace: str, run_id: str) -> None:
        """Take in that a line of *trace* names *run_id*."""
        if self.runs_of.setdefault(trace, run_id) != run_id:
            self.shared.add(trace)
            self.runs_of[trace] = run_id

    def read(self, path: Path) -> None:
        """Read one file; what is wrong with it becomes a reject."""
        rejects = Rejects(str(path))
        try:
            self._read(path, rejects)
        except OSError as error:
            self.rejects.append(unreadable(path, error))
        self.rejects += rejects.all()

    def _read(self, path: Path, rejects: Rejects) -> None:
        match kind_of(path, head_of(path)):
            case "rows":
                self.rows += read_rows(path, rejects)
            case "agent":
                read_agent_store(path, self, rejects)
            case "state":
                self.store = path if path.name == "openclaw.sqlite" else self.store
                read_state_store(path, self, rejects)
            case "lock":
                self._read_lock(path, rejects)
            case "transcript":
                self._read_transcript(path, rejects)
            case "trajectory":
                self._read_trajectory(path, rejects)
            case "timeline":
                read_timeline(path, self, rejects)
            case "log":
                read_log(path, self, rejects)
            case "trace" | None:
                # That it is there is all that it says; or the file is another one by now.
                pass

    def _read_lock(self, path: Path, rejects: Rejects) -> None:
        lock = read_lock(path)
        if lock is None:
            rejects.add(0, "a lock that does not name its process")
        else:
            self.locks[path.name.removesuffix(".jsonl.lock")] = lock

    def _read_transcript(self, path: Path, rejects: Rejects) -> None:
        transcript = self.transcripts[path.name.partition(".jsonl")[0]]
        for line in json_lines(path, rejects):
            if not transcript.feed(line.content, line.where):
                rejects.add(line.where.offset, "JSON, but no record of a transcript")

    def _read_trajectory(self, path: Path, rejects: Rejects) -> None:
        for line in json_lines(path, rejects):
            if not feed_trajectory(line.content, line.where, self.runs):
                rejects.add(line.where.offset, "JSON, but no record of a trajectory")
