"""What a thread was about, as far as its records say: collected in bounded memory, and nothing of it made up.

Texts are kept as they stand on file. They are freed of credentials and shortened when they are written, in this
order: a credential that was cut in two is no longer known for one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from turnscope_analyzer.context.tools import How, Result
    from turnscope_analyzer.model import Reject

Ending = Literal["completed", "failed", "interrupted"]

TEXT_CHARS: Final = 65_536
"""Of a longer text the two ends are kept; a handoff holds less than that as a whole."""

_TAIL_CHARS: Final = 16_384

_RECENT: Final = 24
_COMMANDS: Final = 60
_FILES: Final = 1_000
_OPEN: Final = 1_000


class Quote(NamedTuple):
    """Something that was said: in which turn (counted from 1, 0 before the first), when, and what."""

    turn: int
    at_ns: int
    text: str


class Step(NamedTuple):
    """One step of a plan, and how far it is."""

    text: str
    status: str


@dataclass(slots=True)
class Call:
    """A tool that was called: what for, which files it would touch, and what came of it, None while nothing has."""

    turn: int
    at_ns: int
    name: str
    text: str
    files: dict[str, How] = field(default_factory=dict)
    result: Result | None = None


class Touched(NamedTuple):
    """What was last done to a file, and when."""

    how: How
    turn: int
    at_ns: int


@dataclass(slots=True)
class Story:
    """One thread. Facts that its records do not hold are empty or None.

    ``turn_open`` tells whether the last turn has not ended; else ``ending`` says how it did, and ``why`` what its
    record says of that; ``tells_ends`` whether such records say when a turn ends at all. ``compacted_now`` tells that
    the last turn had a compaction. ``first`` and ``last`` are requests of the user, ``requests`` the last ones of all.
    """

    path: Path
    program: str
    thread_id: str = ""
    cwd: str = ""
    branch: str = ""
    commit: str = ""
    model: str = ""
    began_ns: int | None = None
    last_ns: int | None = None
    turn: int = 0
    compactions: int = 0
    tokens: int | None = None
    window: int | None = None
    first: Quote | None = None
    requests: deque[Quote] = field(default_factory=lambda: deque(maxlen=_RECENT))
    requests_in_all: int = 0
    answers: deque[Quote] = field(default_factory=lambda: deque(maxlen=_RECENT))
    answers_in_all: int = 0
    words: Quote | None = None
    plan: tuple[Quote, tuple[Step, ...]] | None = None
    summary: Quote | None = None
    files: dict[str, Touched] = field(default_factory=dict)
    files_in_all: int = 0
    calls: deque[Call] = field(default_factory=lambda: deque(maxlen=_COMMANDS))
    calls_in_all: int = 0
    failures: deque[Call] = field(default_factory=lambda: deque(maxlen=_RECENT))
    errors: deque[Quote] = field(default_factory=lambda: deque(maxlen=_RECENT))
    open: dict[str, Call] = field(default_factory=dict)
    turn_open: bool = False
    tells_ends: bool = False
    compacted_now: bool = False
    ending: Ending | None = None
    why: str = ""
    rejects: list[Reject] = field(default_factory=list)
    _at_ns: int = 0

    @property
    def last(self) -> Quote | None:
        """The last request of the user."""
        return self.requests[-1] if self.requests else None

    def at(self, at_ns: int) -> None:
        """Take in the time of the record that comes next."""
        self._at_ns = self.last_ns = at_ns
        if self.began_ns is None:
            self.began_ns = at_ns

    def begin(self, *, tracked: bool = False) -> None:
        """Take in that a turn begins; *tracked* where its end will be on record, too, unless it is lost."""
        if self.turn_open and self.tells_ends:
            self.errors.append(Quote(self.turn - 1, self._at_ns, "the turn never ended; this is when the next began"))
        self.tells_ends = self.tells_ends or tracked
        self._settle()
        self.turn_open, self.ending, self.why = True, None, ""
        self.compacted_now = False
        # What an earlier turn has left open nobody waits for any more, and nobody knows what it did.
        self.failures.extend(self.open.values())
        self.open.clear()

    def end(self, how: Ending, why: str = "", answer: str = "") -> None:
        """Take in that the turn has ended, how, and the answer where the record has it."""
        if answer:
            self.words = self._quote(answer)
        self.tells_ends = True
        self._settle()
        self.turn_open, self.ending, self.why = False, how, _held(why)
        if why and how == "failed":
            self.error(why)

    def request(self, text: str) -> None:
        """Take in what the user asks for."""
        quote = self._quote(text)
        self.first = self.first or quote
        self.requests.append(quote)
        self.requests_in_all += 1

    def say(self, text: str) -> None:
        """Take in what the model says; the last of it in a turn is its answer."""
        if text.strip():
            self.words = self._quote(text)

    def planned(self, explanation: str, steps: tuple[Step, ...]) -> None:
        """Take in a plan, which replaces the one before."""
        self.plan = (self._quote(explanation), steps)

    def compacted(self, summary: str) -> None:
        """Take in that the thread was compacted; *summary* is "" where it cannot be read."""
        self.compactions += 1
        self.compacted_now = True
        if self.words is not None and summary.endswith(self.words.text):
            # The model has said this to the program, not to the user.
            self.words = None
        self.summarised(summary)

    def summarised(self, summary: str) -> None:
        """Take in what a compaction has left of what came before it."""
        if summary.strip():
            self.summary = self._quote(summary)

    def call(self, call_id: str, name: str, text: str, files: dict[str, How]) -> None:
        """Take in that a tool is called."""
        self.calls_in_all += 1
        self.open[call_id] = Call(self.turn, self._at_ns, name, _held(text), files)
        if len(self.open) > _OPEN:
            del self.open[next(iter(self.open))]

    def result(self, call_id: str, result: Result) -> None:
        """Take in what came of a call; one that is not known is left out."""
        call = self.open.pop(call_id, None)
        if call is None:
            return
        call.result = result._replace(text=_held(result.text))
        self.calls.append(call)
        if result.failed:
            self.failures.append(call)
            return
        for path, how in call.files.items():
            self.touched(path, how)

    def touched(self, path: str, how: How) -> None:
        """Take in that a file was touched; the last ones are kept."""
        if path in self.files:
            del self.files[path]
        else:
            self.files_in_all += 1
        self.files[path] = Touched(how, self.turn, self._at_ns)
        if len(self.files) > _FILES:
            del self.files[next(iter(self.files))]

    def error(self, text: str) -> None:
        """Take in what went wrong; said twice in a row it is one error."""
        quote = self._quote(text)
        if not self.errors or self.errors[-1].text != quote.text:
            self.errors.append(quote)

    def _settle(self) -> None:
        """Make what was said last the answer of the turn that is over."""
        if self.words is not None:
            self.answers.append(self.words)
            self.answers_in_all += 1
        self.words = None

    def _quote(self, text: str) -> Quote:
        return Quote(self.turn, self._at_ns, _held(text))


def _held(text: str) -> str:
    """Return what is kept of *text*: cut where lines begin, so that no credential is cut in two."""
    if len(text) <= TEXT_CHARS:
        return text
    head = text[: TEXT_CHARS - _TAIL_CHARS]
    head = head[: head.rfind("\n") + 1] or head[: head.rfind(" ") + 1]
    tail = text[-_TAIL_CHARS:].partition("\n")[2]
    return f"{head}[{len(text) - len(head) - len(tail):,} characters left out]\n{tail}"
