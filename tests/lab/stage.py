"""Plays cases with the real Codex, some side by side, and has each judged while its fault is there."""

from __future__ import annotations

import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from signal import SIGKILL, SIGTERM
from typing import TYPE_CHECKING, Final, Literal

from lab.binary import binary
from lab.codex import PATIENCE_S, AppServer, Exec, NothingCameError
from lab.home import LEVELS, Home, Level, Protocol
from turnscope.phases import PHASES
from turnscope_analyzer.analyze import analyze

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from lab.collector import Collector
    from lab.model import Model, Models
    from lab.scenarios import Case
    from turnscope_analyzer.model import Report

Moment = Literal["alive", "after"]
"""While Codex lives and its turn is open; after the turn or the process has ended."""

BUDGETS: Final = {phase.name: 2.0 for phase in PHASES if phase.stuck_after_s and phase.cause != "tool_hang"}
"""Stuck limits for stalls that last seconds; running tools keep theirs."""

_LINGER_S: Final = {"exec": 4.0, "app-server": 12.0}
"""How long an open turn is left so: past its budget, and till an app-server has written its log (every 10 s)."""

_WORKERS: Final = 6
"""Side by side; nearly all of a run is waiting."""

_POLL_S: Final = 0.05


@dataclass
class Run:
    """What became of one case.

    Attributes:
        home: What it left behind.
        thread: The thread that its turns are in.
        turns: The turns that the model was asked for.
        reports: By moment and level, the report on its home.
    """

    case: Case
    home: Home
    thread: str
    turns: set[str] = field(default_factory=set)
    reports: dict[tuple[Moment, Level], Report] = field(default_factory=dict)


class Stage:
    """Plays each case once, in the order in which they are first announced."""

    def __init__(self, folder: Path, models: Models, collector: Collector) -> None:
        self._folder, self._models, self._collector = folder, models, collector
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="stage")
        self._runs: dict[Case, Future[Run]] = {}
        # Bound and never listened on: who connects is refused, and nobody else can take the port.
        self._refusing = socket.socket()
        self._refusing.bind(("127.0.0.1", 0))

    def announce(self, cases: Iterable[Case]) -> None:
        """Have *cases* played as soon as there is room for them."""
        for case in cases:
            if case not in self._runs:
                self._runs[case] = self._pool.submit(self._play, case, len(self._runs))

    def run(self, case: Case) -> Run:
        """Return what became of *case*, after it was played.

        Raises:
            NothingCameError: The fault did not happen.
        """
        self.announce([case])
        return self._runs[case].result()

    def set_up(
        self, case: Case, name: str, exports_to: str | None = None, protocol: Protocol = "json"
    ) -> tuple[Home, Model]:
        """Return a new home and the model that is set in it; what it exports goes to the lab's collector or another."""
        home = Home(self._folder / name, self._collector.folder_of(name))
        model = self._models.start(case.scenario.plan)
        url = f"http://127.0.0.1:{self._refusing.getsockname()[1]}" if case.scenario.refused else model.url
        home.configure(
            url,
            exports_to or f"{self._collector.url}/{name}",
            idle_ms=case.scenario.idle_ms,
            approval=case.scenario.approval,
            protocol=protocol,
        )
        return home, model

    def release(self, model: Model) -> None:
        """Let the model's ``held`` answers go on."""
        self._models.run(model.let_go())

    def _play(self, case: Case, number: int) -> Run:
        home, model = self.set_up(case, f"run-{number}")
        codex = start(case, home)
        run = Run(case, home, codex.thread)
        try:
            until_there(case, codex, model)
            if case.scenario.open:
                time.sleep(_LINGER_S[case.driver])
                _judge(run, "alive")
            codex = _end(case, home, codex)
            _hold_to_plan(case, model)
            run.turns = {request.turn_id for request in model.asked}
            _judge(run, "after")
        finally:
            codex.close()
        return run

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._refusing.close()


def start(case: Case, home: Home, thread: str | None = None) -> Exec | AppServer:
    """Start Codex on *home* and a turn in it; *thread* names one to go on with.

    Raises:
        NothingCameError: It did not get as far as that.
    """
    program = binary(case.version)
    if program is None:
        raise NothingCameError(f"no binary of Codex {case.version}")
    if case.driver == "exec":
        return Exec(program, home, thread)
    codex = AppServer(program, home, thread)
    try:
        codex.prompt()
    except NothingCameError:
        codex.close()
        raise
    return codex


def until_there(case: Case, codex: Exec | AppServer, model: Model) -> None:
    """Wait until the fault has happened, and for a turn that is to be stopped or killed until it waits."""
    scenario = case.scenario
    if isinstance(codex, AppServer):
        if scenario.act == "compact":
            codex.wait_for_end()
            codex.compact()
        if scenario.sign:
            codex.wait_for_call(scenario.sign)
    wanted = len(scenario.asked) if scenario.open else bool(scenario.act)
    until(lambda: len(model.asked) >= wanted, f"{wanted} requests")


def until(is_so: Callable[[], bool], what: str) -> None:
    """Wait until *is_so*.

    Raises:
        NothingCameError: It was not so in time.
    """
    give_up = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > give_up:
            raise NothingCameError(f"no {what} within {PATIENCE_S} s")
        time.sleep(_POLL_S)


def _end(case: Case, home: Home, codex: Exec | AppServer) -> Exec | AppServer:
    """Do to *codex* what the scenario wants, and return the process that was the last; it has ended, too."""
    act = case.scenario.act
    if case.scenario.open:
        codex.send(SIGKILL)
        return codex
    if act == "resume":
        codex.send(SIGKILL)
        codex = start(case, home, codex.thread)
    elif act == "interrupt":
        codex.interrupt()
    elif act == "terminate":
        codex.send(SIGTERM)
        return codex
    if act != "leave":
        codex.wait_for_end()
    codex.leave()
    return codex


def _hold_to_plan(case: Case, model: Model) -> None:
    """See to it that the model was asked for what the scenario is about."""
    asked = tuple(request.purpose for request in model.asked)
    expected = case.scenario.asked
    if asked[: len(expected)] != expected:
        raise NothingCameError(f"{case}: the model was asked for {asked}, and the scenario wants {expected}")


def _judge(run: Run, moment: Moment) -> None:
    budgets = BUDGETS if run.case.scenario.open else None
    for level in LEVELS:
        run.reports[moment, level] = analyze(run.home.to_read(level), budgets=budgets, everything=True)
