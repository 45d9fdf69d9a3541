"""What holds for a Codex thread while its records are read."""

from __future__ import annotations

from turnscope_analyzer.sources.codex.tokens import Meter


class Settings:
    """What holds for the thread at this point of its file."""

    def __init__(self) -> None:
        self.meter = Meter()
        self.model: str | None = None
        self.asks_people = False
