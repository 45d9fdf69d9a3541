"""One run of the app-server as its log rows tell it: which turn each row belongs to, and what it says of it.

Rows about the client's requests and about streams name neither thread nor turn. Such a row is given to a turn only
where the program has one that it can belong to; where there are two, it is left alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.sources.codex.logturn import LogTurn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from turnscope_analyzer.sources.codex.logrows import Row

    Told = Callable[[LogTurn, Row], None]
    Heard = Callable[["Program", Row], None]

_ID = r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_REQUEST = re.compile(r"app-server request: (\S+)")
_EVENT = re.compile(r"app-server event: (\S+)")
_SUBMISSION = re.compile(rf'submission_id={_ID} operation="(\w+)"|Submission {{ id: "{_ID}", op: (\w+)')
_ABORTED = re.compile(rf'sub_id="{_ID}"')
_STATUS = re.compile(r"Request completed method=POST url=\S*/responses(?:/compact)? status=(\d{3})\b")
_FAILED = re.compile(
    r"Request failed method=POST url=\S*/responses(?:/compact)?(?: is_timeout=(\w+) is_connect=(\w+))?"
)
_POST = re.compile(r"POST to \S*/responses(?:/compact)?: ")
_KIND = re.compile(r'Output item item(?:_type="|=)(\w+)')
_SSE = re.compile(r'SSE event: \{.{0,64}?"type"\s*:\s*"([\w.]+)"')
_USAGE = re.compile(r"total_usage_tokens=(\d{1,12})\b")
_REASON = re.compile(r"\bsampling_error=(.*)", re.DOTALL)
_COMPACTION = re.compile(r"\brun_auto_compact(?:\{reason=(\w+))?|session_task\.compact\b")
_RESUMING = re.compile(rf'Resuming rollout from "[^"]*{_ID}[^"]*"')
_RESUMED = re.compile(r"Resumed rollout with (\d{1,12}) items")

_INPUTS: Final = frozenset({"turn_input", "user_input", "user_turn", "compact", "review"})
_CAMEL = re.compile(r"(?<!^)(?=[A-Z])")
_SAMPLING: Final = "try_run_sampling_request"


class Program:
    """The turns of one process, fed with its rows in order. ``last_ns`` is its last proof of life."""

    def __init__(self) -> None:
        self.last_ns = 0
        self._heard_ns: int | None = None
        self._turns: dict[str, LogTurn] = {}
        self._current: dict[str, LogTurn] = {}
        self._submitted: dict[str, Row] = {}
        self._starts: list[Row] = []
        self._stops: list[Row] = []
        self._resumes: list[Row] = []
        self._resuming: LogTurn | None = None

    def feed(self, row: Row) -> None:
        """Take the next row in."""
        self.last_ns = max(self.last_ns, row.at_ns)
        if row.thread_id is None and self._heard_ns is None:
            # Rows without a thread are cut first; where a turn is older than what is left, they were.
            self._heard_ns = row.at_ns
            for turn in self._current.values():
                turn.heard_from(row)
        if heard := _HEARD.get(row.target):
            heard(self, row)
        turn_id = row.turn_id
        if turn_id is None:
            return
        named = self._turn(turn_id, row)
        if trigger := _COMPACTION.search(row.fields):
            named.compacts(row, trigger[1])
        if told := _TOLD.get(row.target):
            told(named, row)

    def finish(self) -> Iterator[LogTurn]:
        """Give the turns, and with them a thread that was still being loaded when the rows end."""
        for turn in self._turns.values():
            turn.finish(self.last_ns, heard=self._heard_ns is not None)
            yield turn
        if self._resuming is not None:
            yield self._resuming

    def _turn(self, turn_id: str, row: Row) -> LogTurn:
        turn = self._turns.get(turn_id)
        if turn is None:
            thread_id = row.thread_id or ""
            turn = LogTurn(turn_id, thread_id)
            turn.begin(row, self._submitted.pop(turn_id, None))
            before = self._current.get(thread_id)
            if before is not None:
                # Who sends the next message has the thread before him.
                before.attach(row)
            self._turns[turn_id] = self._current[thread_id] = turn
        return turn

    def shows_end(self, turn: LogTurn) -> bool:
        """Tell whether the rows would show it if *turn* had ended: it alone could, and its client is told."""
        if turn.loads:
            return True
        heard = self._heard_ns is not None and self._heard_ns <= turn.marks[-1].at_ns
        return heard and not turn.detached and turn is self.only(lambda other: not other.over)

    def only(self, among: Callable[[LogTurn], bool]) -> LogTurn | None:
        """Return the turn of which *among* is true if there is just one."""
        found = [turn for turn in self._current.values() if among(turn)]
        return found[0] if len(found) == 1 else None

    # -- rows that name no turn ---------------------------------------------------------------------------

    def asked(self, row: Row) -> None:
        """Take in a client's request."""
        method = _REQUEST.match(row.message)
        name = method[1] if method else ""
        turn = self.only(lambda _turn: True)
        if name == "turn/start":
            self._starts.append(row)
        elif name == "turn/interrupt":
            self._stops.append(row)
        elif name == "thread/unsubscribe" and turn is not None:
            turn.detach(row)
        elif name in ("thread/resume", "thread/read"):
            self._resumes.append(row)
            if turn is not None:
                turn.attach(row)

    def notified(self, row: Row) -> None:
        """Take in what the clients are told."""
        event = _EVENT.match(row.message)
        if event is None:
            return
        if event[1].lower().endswith("delta"):
            # Of two streams either may be meant; neither is then called silent.
            for turn in self._current.values():
                turn.progress(row)
        ended = self.only(lambda turn: not turn.over) if event[1] == "turn/completed" else None
        if ended is not None:
            ended.told_end(row)
        if event[1] == "thread/status/changed" and "thread/resume" in row.fields:
            self._resuming = None

    def submitted(self, row: Row) -> None:
        """Take in what a thread is given to do; its id becomes the turn's."""
        found = _SUBMISSION.search(row.message)
        if found is None:
            return
        named, operation = found[1] or found[3], _CAMEL.sub("_", found[2] or found[4]).lower()
        if operation in _INPUTS:
            # With two on the way it is not known which is whose.
            self._submitted[named] = self._starts[0] if len(self._starts) == 1 else row
            self._starts.clear()

    def aborts(self, row: Row) -> None:
        """Take in that a thread stops its turn; a client's request may stand before it."""
        found = _ABORTED.search(row.message)
        turn = self._turns.get(found[1]) if found else None
        if turn is not None:
            turn.stopped(self._stops[0] if len(self._stops) == 1 else None)
        self._stops.clear()

    def loads(self, row: Row) -> None:
        """Take in that a thread's rollout is being read, or was."""
        if found := _RESUMING.search(row.message):
            self._resuming = LogTurn(f"{found[1]}:resume@{row.offset}", found[1])
            self._resuming.load(row, self._resumes[-1] if self._resumes else row)
        elif _RESUMED.search(row.message):
            self._resuming = None

    def streams(self, row: Row) -> None:
        """Take in an event of a stream."""
        found = _SSE.match(row.message)
        turn = self.only(lambda turn: turn.streams)
        if found is None or turn is None:
            return
        turn.event(row)
        turn.progress(row)
        if found[1] == "response.output_item.added":
            turn.item(row, None)
        elif found[1] == "response.completed":
            turn.completed(row)


# -- rows that name their turn --------------------------------------------------------------------------------


def _sends(turn: LogTurn, row: Row) -> None:
    # The innermost span of all that are logged while one is asked for; only the first names the model.
    if row.spans[-1] == _SAMPLING and row.message.startswith("model="):
        turn.sent(row)


def _posts(turn: LogTurn, row: Row) -> None:
    if _POST.match(row.message):
        turn.posted(row, compacts=_COMPACTION.search(row.fields) is not None)


def _answers(turn: LogTurn, row: Row) -> None:
    if answered := _STATUS.match(row.message):
        turn.answered(row, int(answered[1]))
    elif failed := _FAILED.match(row.message):
        timed_out, connecting = failed[1] == "true", failed[2] == "true"
        if timed_out:
            turn.refused(row, "connect_timeout" if connecting else "headers_timeout")
        else:
            turn.refused(row, "connection_reset" if failed[2] == "false" else "connection_failed")


def _item(turn: LogTurn, row: Row) -> None:
    if kind := _KIND.match(row.message):
        turn.item(row, _CAMEL.sub("_", kind[1]).lower())
    elif row.message.startswith("ToolCall: "):
        turn.used_tool()


def _counted(turn: LogTurn, row: Row) -> None:
    turn.completed(row)


def _ran(turn: LogTurn, row: Row) -> None:
    if row.message.startswith("Turn error: "):
        turn.fails(row, row.message)
    elif row.message.startswith("Failed to run"):
        turn.compaction_failed(row, row.message)
    elif row.message.startswith("post sampling token usage"):
        tokens = _USAGE.search(row.message)
        turn.completed(row, late=True, tokens=int(tokens[1]) if tokens else None)


def _retries(turn: LogTurn, row: Row) -> None:
    reason = _REASON.search(row.message)
    turn.retries(row, reason[1] if reason else "")


def _compacts(turn: LogTurn, row: Row) -> None:
    turn.compaction_failed(row, row.message)


_HEARD: Final[Mapping[str, Heard]] = {
    "codex_api::sse::responses": Program.streams,
    "codex_app_server::message_processor": Program.asked,
    "codex_app_server::outgoing_message": Program.notified,
    "codex_core::session::handlers": Program.submitted,
    "codex_core::tasks": Program.aborts,
    "codex_rollout::recorder": Program.loads,
}

_TOLD: Final[Mapping[str, Told]] = {
    "codex_client::default_client": _answers,
    "codex_client::transport": _posts,
    "codex_core::compact": _compacts,
    "codex_core::history_item_count": _counted,
    "codex_core::responses_retry": _retries,
    "codex_core::session::turn": _ran,
    "codex_core::stream_events_utils": _item,
    "codex_http_client::client": _answers,
    "feedback_tags": _sends,
}
