"""The turns of a generated journal: which phases they pass, how long each lasts, and what a verdict must say.

Waits of turns that end well stay under every budget and waits of stuck turns reach to the end of their
process, at least an hour, so that the right verdict does not hang on a limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import random

Attrs = dict[str, Any]


LAST_CHUNK = "progress_at"
"""In a step this is how many ns the last chunk lies before the mark; the mark has the time itself."""


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
    Kind("approval", 5, 5, "orphaned", "process_lost"),
    Kind("no_answer", 6, 6, "orphaned", "transport"),
    Kind("stalled", 8, 8, "orphaned", "model_stall"),
    Kind("continuation", 4, 4, "orphaned", "continuation_loss"),
    Kind("compacting", 3, 3, "orphaned", "compaction"),
    Kind("hydrating", 2, 2, "orphaned", "hydration"),
    Kind("tool", 3, 3, "orphaned", "tool_hang"),
    Kind("dropped", 2, 2, "orphaned", "silent_drop"),
    Kind("before_request", 1, 1, "orphaned", "pre_start"),
    Kind("queue", 1, 1, "orphaned", "queue_blocked"),
)
# fmt: on
"""1,000 together in each mix. ``chat``: 10 marks a turn. ``agentic``: 100, and minutes long. 30 of 1,000 hang; as their
process is gone they are called orphaned, and the cause says on what they hung."""

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
        opened: Attrs = {"step": self.requests, "attempt": 1, "purpose": "turn", "model": rng.choice(MODELS)}
        item = rng.choice(("reasoning", "message", "function_call"))
        for phase, after_s, attrs in (
            ("upstream_sent", 0.01, opened),
            ("response_headers", 0.5, {"status": 200}),
            ("first_byte", 0.02, self.figures(0)),
            ("first_event", 0.01, self.figures(1) | {"kind": "response.created"}),
            ("first_item", 4.4, self.figures(rng.randrange(1, 4)) | {"kind": item}),
            ("upstream_completed", 3.0, self.figures(rng.randrange(4, 900))),
        ):
            slot = {} if phase in {"upstream_sent", "upstream_completed"} else {"slot": rng.randrange(1020)}
            self.add(lane, phase, after_s, **attrs, **slot)
            if phase == upto:
                return

    def figures(self, chunks: int) -> Attrs:
        """Return what the mark that ends a streaming phase says about its chunks."""
        figures: Attrs = {"chunks": chunks, "bytes": chunks * self.rng.randrange(40, 300), "keepalives": 0}
        if chunks:
            figures[LAST_CHUNK] = self.rng.randrange(1_000, 3_000_000)
        if chunks > 1:
            figures["max_gap"] = self.rng.randrange(1_000_000, 400_000_000)
        return figures

    def tool(self, *, result: bool = True) -> None:
        """Call a tool, and take its result if *result*."""
        call_id = f"call_{self.rng.getrandbits(96):024x}"
        self.add(f"tool:{call_id}", "tool_call", 0.01, name=self.rng.choice(TOOLS))
        if result:
            self.add(f"tool:{call_id}", "tool_result", 0.1, bytes=self.rng.randrange(20_000))

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
        turn.add("renderer:web", "renderer_attached", 0.05, name="web", cursor=0, slot=turn.rng.randrange(1020))
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
