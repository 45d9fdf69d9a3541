"""What the demo injects and what must be told from the journal: one row a turn, read it as documentation.

``plan`` is what the model does, request by request (``model_server/behaviours.py``); ``bug`` is what the gateway does
wrong; ``client`` is what the turn's client does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from examples.gateway.messages import Bug

if TYPE_CHECKING:
    from turnscope.phases import CancelResult, Cause, State

Client = Literal[
    "waits",
    "watches",
    "leaves",
    "comes_back",
    "approves",
    "stops",
    "stops_when_ended",
    "stops_when_lost",
    "resumes_when_lost",
]
"""What a client does after it sent its message; ``waits`` does nothing, ``watches`` stays attached to the end."""


class Expected(NamedTuple):
    """What the analyzer must say of a turn."""

    state: State
    cause: Cause | None = None
    cancel: CancelResult | None = None


@dataclass(frozen=True)
class Case:
    """One turn: what is injected, and what must be told. It has a session of its own unless it names another's."""

    name: str
    expected: Expected
    plan: str = "text"
    compaction_plan: str = "text"
    bug: Bug | None = None
    client: Client = "waits"
    provider: Literal["main", "refusing"] = "main"
    hung_plugin: bool = False
    read_timeout_s: float | None = None
    old_records: int = 0
    behind: str | None = None

    @property
    def session(self) -> str:
        """The session that the message goes to."""
        return self.behind or self.name


def _healthy(cancel: CancelResult | None = None) -> Expected:
    return Expected("healthy", None, cancel)


def _stuck(cause: Cause, cancel: CancelResult | None = None) -> Expected:
    return Expected("stuck", cause, cancel)


def _failed(cause: Cause) -> Expected:
    return Expected("failed", cause)


def _lost(cancel: CancelResult | None = None) -> Expected:
    return Expected("orphaned", "process_lost", cancel)


_CANCELLED = Expected("cancelled", None, "cancelled")
_WAITING = Expected("waiting")
_LONG = 400
"""Old records that make a history longer than the model's window."""
_HUGE = 60_000
"""Old records that take a minute to load from a bad disk."""

# One row a line: a table that is read down its columns.
# fmt: off
KILLED_GATEWAY: Final = (
    Case("ended-before-the-kill", _healthy()),
    Case("killed-in-mid-text", _lost(), plan="mid_text"),
    Case("killed-in-a-tool", _lost(), plan="call run sleep 20; text"),
    Case("killed-and-resumed", _healthy(), plan="mid_text", client="resumes_when_lost"),
    Case("killed-and-stopped-later", _lost("unknown"), plan="mid_text", client="stops_when_lost"),
)
"""Turns of a gateway that is killed with SIGKILL; a second one finds them with recover()."""

CASES: Final = (
    Case("answered", _healthy(), client="watches"),
    Case("with-two-tools", _healthy(), plan="call run date + read_file README.md; text"),
    Case("with-an-approval", _healthy(), plan="call deploy staging; text", client="approves"),
    Case("reset-then-answered", _healthy(), plan="reset; status 503; text"),
    Case("compacted", _healthy(), old_records=_LONG),
    Case("limited-for-a-second", _healthy(), plan="limit 1; text"),
    Case("client-came-back", _healthy(), plan="text 1", client="comes_back"),

    Case("headers-then-nothing", _stuck("model_stall"), plan="headers"),
    Case("first-event-then-nothing", _stuck("model_stall"), plan="first_event"),
    Case("stalled-in-mid-text", _stuck("model_stall"), plan="mid_text", client="watches"),
    Case("keepalives-only", _stuck("model_stall"), plan="keepalives"),
    Case("stalled-after-a-tool", _stuck("model_stall"), plan="call run date; headers"),
    Case("gave-up-on-a-stall", _failed("model_stall"), plan="mid_text", read_timeout_s=0.3),

    Case("black-hole", _stuck("transport"), plan="black_hole"),
    Case("refused", _failed("transport"), provider="refusing"),
    Case("reset-each-time", _failed("transport"), plan="reset"),
    Case("overloaded", _failed("transport"), plan="status 503"),
    Case("cut-each-time", _failed("transport"), plan="cut"),
    Case("ended-too-early", _failed("transport"), plan="unfinished"),

    Case("compaction-hangs", _stuck("compaction"), compaction_plan="black_hole", old_records=_LONG),
    Case("compaction-fails", _failed("compaction"), compaction_plan="status 500", old_records=_LONG),
    Case("slow-history", _stuck("hydration"), bug=Bug.SLOW_HISTORY, old_records=_HUGE),
    Case("client-left", _stuck("detachment"), plan="text 1", client="leaves"),
    Case("continuation-lost", _stuck("continuation_loss"), plan="call run date; text", bug=Bug.LOSE_CONTINUATION),

    Case("message-dropped", _stuck("silent_drop"), bug=Bug.DROP_MESSAGE),
    Case("plugin-hangs", _stuck("pre_start"), hung_plugin=True),
    Case("tool-hangs", _stuck("tool_hang"), plan="call run cat; text", bug=Bug.OPEN_STDIN),
    Case("behind-the-hung-tool", _stuck("queue_blocked"), behind="tool-hangs"),
    Case("lane-kept", _healthy(), bug=Bug.KEEP_LANE),
    Case("behind-a-kept-lane", _stuck("queue_blocked"), behind="lane-kept"),

    Case("too-long", _failed("context_length"), plan="too_long"),
    Case("too-long-in-the-stream", _failed("context_length"), plan="too_long_in_stream"),
    Case("limit-for-an-hour", Expected("waiting", "quota_or_auth"), plan="limit 3600"),
    Case("wrong-key", _failed("quota_or_auth"), plan="unauthorized"),
    Case("waits-for-approval", _WAITING, plan="call deploy production; text"),

    Case("stopped", _CANCELLED, plan="mid_text", client="stops"),
    Case("stopped-in-the-queue", _CANCELLED, behind="tool-hangs", client="stops"),
    Case("stop-ignored", _stuck("model_stall", "still_running"), plan="mid_text", bug=Bug.IGNORE_STOP, client="stops"),
    Case("stopped-too-late", _healthy("already_completed"), client="stops_when_ended"),
    Case("stop-failed", _healthy("failed"), plan="call run sleep 1.5; text", bug=Bug.STALE_PID, client="stops"),
)
"""Turns of the second gateway, side by side, judged when the stuck ones are past their budgets."""

YOUNG: Final = (
    Case("tool-runs", _WAITING, plan="call run sleep 20; text"),
)
"""Turns that begin right before the verdict."""
# fmt: on
