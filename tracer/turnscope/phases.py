"""The vocabulary: every lane, phase, cause and state has its name here and nowhere else.

The recorder, the analyzer's SQL (as the tables ``phases`` and ``budgets``), the reference page and the
dashboards all read these tuples, so a name that is not here cannot be recorded, judged or drawn.
This module imports nothing of ours.

Budgets and causes come from measured sessions: user message to first item p99.9 132 s, tool output to
next item p99.9 147 s, compaction p95 179 s, tool run p99.9 169 s (1,011 public Codex rollouts). Hence the
two limits of a phase: past ``slow_after_s`` a wait is unusual, past ``stuck_after_s`` it is a stuck
candidate; 60 seconds alone never make a turn stuck.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args

LaneKind = Literal[
    "turn",
    "hydration",
    "upstream",
    "tool",
    "continuation",
    "compaction",
    "renderer",
    "cancel",
    "quota",
]
State = Literal[
    "healthy",
    "slow",
    "waiting",
    "failed",
    "cancelled",
    "stuck",
    "orphaned",
    "not_determinable",
]
Cause = Literal[
    "model_stall",
    "transport",
    "compaction",
    "hydration",
    "detachment",
    "continuation_loss",
    "silent_drop",
    "pre_start",
    "queue_blocked",
    "tool_hang",
    "context_length",
    "quota_or_auth",
    "process_lost",
    "unknown",
]
Confidence = Literal["certain", "likely", "possible"]
CancelResult = Literal["cancelled", "still_running", "already_completed", "failed", "unknown"]
Purpose = Literal["turn", "compaction"]


class Lane(NamedTuple):
    """A track of one turn on which one phase at a time is open.

    ``many`` lanes carry a suffix that tells their instances apart: ``upstream:2``, ``tool:call_7``.
    """

    kind: LaneKind
    many: bool
    opens: str
    succeeds: str
    fails: str
    about: str


class Phase(NamedTuple):
    """A state that a turn has reached on a lane, and what an open one means.

    ``terminal`` ends the lane. A terminal phase still has budgets where the *turn* has to go on after
    it: a tool result that nothing follows is a wait, too. ``None`` for a budget: no length of this wait
    is an error (a person decides, a quota resets, or nothing is waited for).
    """

    name: str
    lane: LaneKind
    terminal: bool
    waits_on: str | None
    slow_after_s: float | None
    stuck_after_s: float | None
    cause: Cause | None
    otel_name: str


# One row a line: a table that is read down its columns.
# fmt: off
LANES: Final = (
    Lane("turn", False, "accepted", "completed", "failed", "one user message until its terminal state"),
    Lane("hydration", False, "hydration_started", "hydration_completed", "hydration_failed", "loading the thread's history"),
    Lane("upstream", True, "upstream_sent", "upstream_completed", "upstream_failed", "one request attempt to the model"),
    Lane("tool", True, "tool_call", "tool_result", "tool_result", "one tool call"),
    Lane("continuation", False, "tool_result", "continuation", "continuation", "from the result that closes a step's last open tool call to the post-tool request; opens by itself"),
    Lane("compaction", False, "compaction_started", "compaction_completed", "compaction_failed", "summarising the thread to fit the window"),
    Lane("renderer", True, "renderer_attached", "renderer_detached", "renderer_detached", "one client that shows the turn"),
    Lane("cancel", False, "cancel_requested", "cancel_result", "cancel_result", "a stop that somebody asked for"),
    Lane("quota", False, "awaiting_quota", "quota_restored", "quota_restored", "waiting for a limit to reset"),
)

PHASES: Final = (
    Phase("accepted", "turn", False, "a worker to start the turn", 60, 180, "silent_drop", "turnscope.turn.accepted"),
    Phase("queued", "turn", False, "its place in the queue", 120, 360, "queue_blocked", "turnscope.turn.queued"),
    Phase("started", "turn", False, "the gateway, before its first request", 60, 300, "pre_start", "turnscope.turn.started"),
    Phase("completed", "turn", True, None, None, None, None, "turnscope.turn.completed"),
    Phase("failed", "turn", True, None, None, None, None, "turnscope.turn.failed"),
    Phase("cancelled", "turn", True, None, None, None, None, "turnscope.turn.cancelled"),
    Phase("interrupted", "turn", True, None, None, None, None, "turnscope.turn.interrupted"),
    Phase("hydration_started", "hydration", False, "the thread's history", 60, 300, "hydration", "turnscope.hydration.started"),
    Phase("hydration_completed", "hydration", True, "the gateway, after hydration", 60, 300, "pre_start", "turnscope.hydration.completed"),
    Phase("hydration_failed", "hydration", True, "the gateway, after a failed hydration", 60, 300, "hydration", "turnscope.hydration.failed"),
    Phase("upstream_sent", "upstream", False, "response headers", 120, 300, "transport", "turnscope.upstream.sent"),
    Phase("response_headers", "upstream", False, "the first byte", 120, 300, "model_stall", "turnscope.upstream.headers"),
    Phase("first_byte", "upstream", False, "the first event", 120, 300, "model_stall", "turnscope.upstream.first_byte"),
    Phase("first_event", "upstream", False, "the first item", 120, 300, "model_stall", "turnscope.upstream.first_event"),
    Phase("first_item", "upstream", False, "the rest of the stream", 120, 300, "model_stall", "turnscope.upstream.first_item"),
    Phase("upstream_completed", "upstream", True, "the gateway, after the response", 120, 300, "continuation_loss", "turnscope.upstream.completed"),
    Phase("upstream_failed", "upstream", True, "a retry or an honest error", 120, 300, "transport", "turnscope.upstream.failed"),
    Phase("tool_call", "tool", False, "the tool", 300, 1800, "tool_hang", "turnscope.tool.call"),
    Phase("awaiting_approval", "tool", False, "a person's decision", None, None, None, "turnscope.tool.awaiting_approval"),
    Phase("approved", "tool", False, "the approved tool", 300, 1800, "tool_hang", "turnscope.tool.approved"),
    Phase("denied", "tool", False, "the gateway, after a denial", 120, 300, "continuation_loss", "turnscope.tool.denied"),
    Phase("tool_result", "tool", True, "the post-tool request", 120, 300, "continuation_loss", "turnscope.tool.result"),
    Phase("continuation", "continuation", True, "the gateway, before the post-tool request", 60, 300, "pre_start", "turnscope.continuation"),
    Phase("compaction_started", "compaction", False, "the summary", 180, 600, "compaction", "turnscope.compaction.started"),
    Phase("compaction_completed", "compaction", True, "the gateway, after compaction", 120, 300, "continuation_loss", "turnscope.compaction.completed"),
    Phase("compaction_failed", "compaction", True, "the gateway, after a failed compaction", 60, 300, "compaction", "turnscope.compaction.failed"),
    Phase("renderer_attached", "renderer", False, "the client to catch up", 120, 300, "detachment", "turnscope.renderer.attached"),
    Phase("renderer_detached", "renderer", True, "a client to come back", 120, 300, "detachment", "turnscope.renderer.detached"),
    Phase("cancel_requested", "cancel", False, "the stop to take effect", 30, 120, "unknown", "turnscope.cancel.requested"),
    Phase("cancel_result", "cancel", True, None, None, None, None, "turnscope.cancel.result"),
    Phase("awaiting_quota", "quota", False, "a limit to reset", None, None, "quota_or_auth", "turnscope.quota.awaiting"),
    Phase("quota_restored", "quota", True, "the gateway, after the limit reset", 60, 300, "pre_start", "turnscope.quota.restored"),
)
# fmt: on

CANCEL_RESULTS: Final[tuple[CancelResult, ...]] = (
    "cancelled",
    "still_running",
    "already_completed",
    "failed",
    "unknown",
)
"""What a stop may have come to; it must be one of these."""

CAUSES: Final[tuple[Cause, ...]] = get_args(Cause)
"""Every cause, the six of the first rank first."""

STATES: Final[tuple[State, ...]] = get_args(State)
"""Every state of a turn."""

LANE: Final = {lane.kind: lane for lane in LANES}
"""Lane by kind."""

PHASE: Final = {phase.name: phase for phase in PHASES}
"""Phase by name; a name stands on one lane only."""


def lane_kind(lane: str) -> str:
    """Return the kind of *lane*: ``upstream:2`` -> ``upstream``."""
    return lane.partition(":")[0]
