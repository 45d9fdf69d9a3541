"""The turns of a generated journal: which phases they pass, how long each lasts, and what a verdict must say.

Waits of turns that end well stay under every budget and waits of stuck turns reach to the end of their
process, at least an hour, so that the right verdict does not hang on a limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import random

Attrs = dict[str, object]


class Step(NamedTuple):
    """A mark to come: on which lane, which phase, how long after the mark before, with which attributes."""

    lane: str
    phase: str
    after_s: float
    attrs: Attrs


class Kind(NamedTuple):
    """A kind of turn, how many of 1,000 turns are of it in each mix, and its verdict; a cause only where one is due."""

    name: str
    chat: int
    agentic: int
    state: str
    cause: str | None


# One row a line: a table that is read down its columns.
# fmt: off
KINDS = (
    Kind("plain", 600, 0, "healthy", None),
    Kind("watched", 200, 0, "healthy", None),
    Kind("hydrated", 90, 0, "healthy", None),
    Kind("tools", 55, 0, "healthy", None),
    Kind("long", 0, 945, "healthy", None),
    Kind("failed", 10, 10, "failed", "transport"),
    Kind("cancelled", 10, 10, "cancelled", None),
    Kind("approval", 5, 5, "waiting", None),
    Kind("no_answer", 6, 6, "stuck", "transport"),
    Kind("stalled", 8, 8, "stuck", "model_stall"),
    Kind("continuation", 4, 4, "stuck", "continuation_loss"),
    Kind("compacting", 3, 3, "stuck", "compaction"),
    Kind("hydrating", 2, 2, "stuck", "hydration"),
    Kind("tool", 3, 3, "stuck", "tool_hang"),
    Kind("dropped", 2, 2, "stuck", "silent_drop"),
    Kind("before_request", 1, 1, "stuck", "pre_start"),
    Kind("queue", 1, 1, "stuck", "queue_blocked"),
)
# fmt: on
"""1,000 together in each mix; 30 of them are stuck. ``chat``: 10 marks a turn. ``agentic``: 100, and minutes long."""

SPREAD = 0.93
"""Sigma of the logarithm of a wait: user message to first item has a median of 4.9 s and a p90 of 16.2 s in 1,011
public Codex rollouts."""

MODELS = ("gpt-5-codex", "gpt-5", "claude-sonnet-4-5", "gemini-2.5-pro")
TOOLS = ("shell", "apply_patch", "read_file", "web_search", "update_plan")


class Turn:
    """One turn in the making: collects its steps."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.steps: list[Step] = []
        self.requests = 0

    def add(self, lane: str, phase: str, after_s: float, **attrs: object) -> None:
        """Append a step; *after_s* is the median of its wait, which stays below the budget of every phase."""
        longest_s = 100.0 if phase == "first_item" else 50.0
        wait_s = min(longest_s, after_s * self.rng.lognormvariate(0, SPREAD))
        self.steps.append(Step(lane, phase, wait_s, attrs))

    def accepted(self, *, queued: bool = False) -> None:
        """Accept the turn, and put it in a queue if *queued*."""
        self.add(
            "turn",
            "accepted",
            0.001,
            prompt_bytes=self.rng.randrange(12, 6000),
            prompt_sha256=f"{self.rng.getrandbits(64):016x}",
            trace=f"{self.rng.getrandbits(128):032x}",
        )
        if queued:
            self.add("turn", "queued", 0.001, name="session", ahead=self.rng.randrange(3))

    def request(self, upto: str = "upstream_completed") -> None:
        """Send a request and follow it until the phase *upto*."""
        self.requests += 1
        lane = f"upstream:{self.requests}"
        rng = self.rng
        chunks = rng.randrange(4, 900)
        opened: Attrs = {"model": rng.choice(MODELS), "step": self.requests, "attempt": 1, "purpose": "turn"}
        closed: Attrs = {
            "chunks": chunks,
            "bytes": chunks * rng.randrange(40, 300),
            "progress_at": 81_342_000_000_000 + rng.randrange(1 << 45),
            "max_gap": rng.randrange(1 << 33),
            "keepalives": rng.randrange(4),
        }
        for phase, after_s, attrs in (
            ("upstream_sent", 0.01, {**opened, "slot": rng.randrange(1020)}),
            ("response_headers", 0.5, {"status": 200}),
            ("first_byte", 0.02, {}),
            ("first_event", 0.01, {"kind": "response.created"}),
            ("first_item", 4.4, {"kind": rng.choice(("reasoning", "message", "function_call"))}),
            ("upstream_completed", 3.0, closed),
        ):
            self.add(lane, phase, after_s, **attrs)
            if phase == upto:
                return

    def tool(self, *, result: bool = True) -> None:
        """Call a tool, and take its result if *result*."""
        call_id = f"call_{self.rng.getrandbits(96):024x}"
        self.add(f"tool:{call_id}", "tool_call", 0.01, name=self.rng.choice(TOOLS), kind="function")
        if result:
            self.add(f"tool:{call_id}", "tool_result", 0.1, ok=True, bytes=self.rng.randrange(20_000))

    def compaction(self) -> None:
        """Start to compact, by a request of its own that gets its headers."""
        self.add("compaction", "compaction_started", 0.01, trigger="auto", tokens=self.rng.randrange(90_000, 240_000))
        self.add("upstream:1", "upstream_sent", 0.01, model="gpt-5", step=1, attempt=1, purpose="compaction")
        self.add("upstream:1", "response_headers", 0.6, status=200)

    def completed(self) -> None:
        """End well, at the cursor that every client has seen."""
        self.add("turn", "completed", 0.01, cursor=900)


def steps(kind: str, rng: random.Random) -> list[Step]:
    """Return the steps of a turn of *kind*, in order."""
    turn = Turn(rng)
    turn.accepted(queued=kind in {"queue", "tools"})
    if kind not in {"dropped", "queue"}:
        turn.add("turn", "started", 0.02)
    if kind in {"hydrated", "hydrating"}:
        turn.add("hydration", "hydration_started", 0.01, bytes=rng.randrange(1 << 22), records=rng.randrange(4000))
    if kind in HEALTHY:
        _healthy(turn, kind)
    else:
        _other(turn, kind)
    return turn.steps


HEALTHY = frozenset(kind.name for kind in KINDS if kind.state == "healthy")


def _healthy(turn: Turn, kind: str) -> None:
    if kind == "hydrated":
        turn.add("hydration", "hydration_completed", 0.8, bytes=turn.rng.randrange(1 << 22))
    if kind == "watched":
        turn.add("renderer:web", "renderer_attached", 0.05, cursor=0)
    turn.request()
    more = {"tools": 1, "long": turn.rng.randrange(6, 16)}.get(kind, 0)
    for _ in range(more):
        turn.tool()
        turn.add("continuation", "continuation", 0.05)
        turn.request()
    turn.completed()
    if kind == "watched":
        turn.add("renderer:web", "renderer_detached", 4.0, cursor=900)


def _other(turn: Turn, kind: str) -> None:
    if kind == "failed":
        turn.request("upstream_sent")
        turn.add("upstream:1", "upstream_failed", 1.0, error_type="server_error", status=503)
        turn.add("turn", "failed", 0.01, error_type="server_error")
    elif kind == "cancelled":
        turn.request("first_item")
        turn.add("cancel", "cancel_requested", 3.0)
        turn.add("cancel", "cancel_result", 0.2, result="cancelled")
        turn.add("turn", "cancelled", 0.01)
    elif kind == "no_answer":
        turn.request("upstream_sent")
    elif kind == "stalled":
        turn.request(turn.rng.choice(("response_headers", "first_byte", "first_event", "first_item")))
    elif kind == "compacting":
        turn.compaction()
    elif kind in {"tool", "continuation", "approval"}:
        turn.request()
        turn.tool(result=kind == "continuation")
    if kind == "approval":
        turn.add(turn.steps[-1].lane, "awaiting_approval", 0.01)
