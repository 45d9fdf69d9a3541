"""What a client sends: a text, and, because this gateway is here to be watched failing, what is to go wrong."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Bug(str, Enum):
    """A bug of the gateway's own that a message can switch on for its turn."""

    DROP_MESSAGE = "drop_message"
    """Accept the message and never queue it."""
    KEEP_LANE = "keep_lane"
    """End the turn without letting the next one in."""
    SLOW_HISTORY = "slow_history"
    """Load the history as from a disk that is nearly dead."""
    OPEN_STDIN = "open_stdin"
    """Start tools with a stdin that never ends."""
    LOSE_CONTINUATION = "lose_continuation"
    """Forget to go on when the tools are done."""
    IGNORE_STOP = "ignore_stop"
    """Go on with the turn although it was stopped."""
    STALE_PID = "stale_pid"
    """Remember the wrong process for a tool, so that a stop cannot reach it."""


@dataclass(frozen=True)
class Inject:
    """What is to go wrong in one turn.

    ``plan`` and ``compaction_plan`` travel on to the model server, which does what they say. ``plugin`` is a
    ``host:port`` that the gateway connects to before its first request.
    """

    plan: str = "text"
    compaction_plan: str = "text"
    provider: str = "main"
    plugin: str | None = None
    read_timeout_s: float | None = None
    bug: Bug | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Inject:
        """Read it from JSON.

        Raises:
            ValueError: There is a key or a bug that we do not know.
        """
        unknown = set(given) - {item.name for item in fields(cls)}
        if unknown:
            raise ValueError(f"cannot inject {', '.join(sorted(unknown))}")
        bug = given.get("bug")
        return cls(**{**given, "bug": Bug(bug) if bug else None})


@dataclass(frozen=True)
class Message:
    """One user message."""

    text: str
    inject: Inject = field(default_factory=Inject)

    @classmethod
    def of(cls, given: object) -> Message:
        """Read it from JSON.

        Raises:
            ValueError: There is no text, or something unknown is to be injected.
        """
        match given:
            case {"text": str(text), "inject": dict(inject)}:
                return cls(text, Inject.of(inject))
            case {"text": str(text)}:
                return cls(text)
            case _:
                raise ValueError("a message is an object with a text")
