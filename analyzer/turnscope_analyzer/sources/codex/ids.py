"""How Codex names its threads and turns: by UUIDs, in records, in logs and in the names of files."""

from __future__ import annotations

from typing import Final

UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""A regular expression without a group."""
