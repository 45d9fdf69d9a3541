"""What the gateway can be told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """The gateway's limits, and where its things are.

    ``providers`` maps a name to the address of a Responses API; ``main`` is the one that is used unless a message
    names another.
    """

    data: Path
    providers: Mapping[str, str]
    model: str = "example-model"
    context_bytes: int = 32_000
    attempts: int = 3
    retry_delay_s: float = 0.1
    connect_timeout_s: float = 5
    stop_grace_s: float = 1
