"""Why a request is not taken, in words of its own; HTTP and gRPC have a code for each."""

from __future__ import annotations

from typing import Final, Literal

Why = Literal["malformed", "too_large", "busy", "no_room"]
"""What was sent is no request, or more than is taken at once; or it is ours: too much at a time, or a full disk."""

RETRY_AFTER_S: Final[dict[Why, int]] = {"busy": 1, "no_room": 10}
"""Those that pass: the sender is asked to keep the request and to try again after so long."""


class RefusedError(Exception):
    """A request is not taken, and nothing of it is kept.

    The message goes back to the sender. It quotes nothing of what was sent.
    """

    def __init__(self, why: Why, message: str) -> None:
        super().__init__(message)
        self.why = why
