"""What is done to Codex: one row a scenario, read it as documentation.

``plan`` is what the model does, request by request (``examples/gateway/model_server/behaviours.py``; ``full`` and
``held`` are the lab's own). ``asked`` is what its requests must have been for, in their order, or the fault did not
happen; an open turn is looked at when the last of them is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from lab.binary import VERSIONS, is_new

if TYPE_CHECKING:
    from lab.codex import Driver

Act = Literal["", "compact", "interrupt", "leave", "terminate", "resume"]
"""What is done to a turn in its middle: the thread is compacted, the client stops it or is gone, Codex gets SIGTERM, or
it is killed and a new process goes on."""

BOTH: Final[tuple[Driver, ...]] = ("exec", "app-server")
APP: Final[tuple[Driver, ...]] = ("app-server",)
EXEC: Final[tuple[Driver, ...]] = ("exec",)

_TURN: Final = ("turn",)
_TWO: Final = ("turn", "turn")
_COMPACTS: Final = ("turn", "compaction")
_ONE: Final = 'call exec_command {"cmd": "echo one"}'
_FULL: Final = 'full exec_command {"cmd": "echo one"}'
_LONG: Final = 'call exec_command {"cmd": "sleep 30", "yield_time_ms": 30000}'
_ESCALATED: Final = (
    'call exec_command {"cmd": "touch one", "sandbox_permissions": "require_escalated", "justification": "lab"}'
)
_ASKS: Final = "item/commandExecution/requestApproval"


@dataclass(frozen=True)
class Scenario:
    """One fault, or none.

    ``open`` says that the turn does not end by itself: it is judged while Codex lives, and again after SIGKILL.
    ``only`` names the versions that behave so (``is_new`` in ``binary.py`` has the difference).
    ``sign`` is the message by which an app-server says that it got there, where the requests do not tell it.
    """

    name: str
    plan: str
    asked: tuple[str, ...]
    drivers: tuple[Driver, ...] = BOTH
    open: bool = False
    act: Act = ""
    sign: str = ""
    refused: bool = False
    idle_ms: int = 300_000
    approval: str = "never"
    only: Literal["", "new", "old"] = ""


# One row a line: a table that is read down its columns.
# fmt: off
SCENARIOS: Final = (
    Scenario("healthy", "text", _TURN),
    Scenario("tool", f"{_ONE}; text", _TWO),
    Scenario("compacted", f"{_FULL}; text; text", ("turn", "compaction", "turn")),

    Scenario("refused for ever", "text", (), APP, open=True, refused=True, sign="error", only="new"),
    Scenario("refused", "text", (), refused=True, only="old"),
    Scenario("reset", "reset", _TWO),
    Scenario("server error", "status 503", _TWO),
    Scenario("cut", "cut", _TWO),
    Scenario("rate limit", "limit 3600", _TURN, EXEC),
    Scenario("wrong key", "unauthorized", _TURN, EXEC),
    Scenario("too long", "too_long", _TURN),
    Scenario("too long in the stream", "too_long_in_stream", _TURN, APP),
    Scenario("idle timeout", "mid_text", _TWO, idle_ms=1_500),

    Scenario("no headers", "black_hole", _TURN, open=True),
    Scenario("headers only", "headers", _TURN, open=True),
    Scenario("first event only", "first_event", _TURN, APP, open=True),
    Scenario("stalled in mid-text", "mid_text", _TURN, open=True),
    Scenario("no headers after a tool", f"{_ONE}; black_hole", _TWO, open=True),
    Scenario("stalled after a tool", f"{_ONE}; first_event", _TWO, APP, open=True),

    Scenario("compaction without headers", f"{_FULL}; black_hole", _COMPACTS, APP, open=True),
    Scenario("compaction hangs", f"{_FULL}; first_event", _COMPACTS, open=True),
    Scenario("manual compaction hangs", "text; first_event", _COMPACTS, APP, open=True, act="compact"),
    Scenario("compaction fails", f"{_FULL}; too_long", _COMPACTS),

    Scenario("tool runs", _LONG, _TURN, open=True),
    Scenario("approval", _ESCALATED, _TURN, APP, open=True, sign=_ASKS, approval="on-request"),

    Scenario("interrupted", "mid_text", _TURN, act="interrupt"),
    Scenario("client gone", "mid_text", _TURN, APP, act="leave"),
    Scenario("terminated", "mid_text", _TURN, act="terminate"),
    Scenario("killed and resumed", "mid_text; text", _TWO, act="resume"),
)
"""Every scenario, but the one of a Codex that is disturbed by nobody (``test_live.py``)."""
# fmt: on


@dataclass(frozen=True)
class Case:
    """A scenario with one version and one of its drivers."""

    scenario: Scenario
    driver: Driver
    version: str

    def __str__(self) -> str:
        return f"{self.scenario.name}-{self.driver}-{self.version}"


CASES: Final = tuple(
    Case(scenario, driver, version)
    for version in VERSIONS
    for scenario in SCENARIOS
    for driver in scenario.drivers
    if scenario.only in {"", "new" if is_new(version) else "old"}
)
"""All that can be played with the versions of this run."""
