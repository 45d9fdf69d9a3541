"""Keeps the prompt of an accepted turn on disk until the turn has ended, so that a crash does not lose a message.

It holds what people typed, so it exists only where the gateway turned it on, readable by its own user alone. A prompt
is on the disk before its turn counts as accepted; it goes at the turn's terminal phase.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from pathlib import Path


class Inbox:
    """The folder ``inbox`` of a journal."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, turn_id: str, session: str, wall_ns: int, prompt: str) -> None:
        """Keep *prompt*; when this returns it survives a power cut.

        Raises:
            OSError: It could not be written; nothing of it is left.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = prompt.encode("utf-8", "replace").decode()
        line = orjson.dumps({"turn": turn_id, "session": session, "t": wall_ns, "prompt": text})
        path = self._path(turn_id)
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(line)
                file.flush()
                os.fsync(fd)
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        self._sync_folder()

    def prompt_of(self, turn_id: str) -> str | None:
        """Return the prompt of a turn; ``None`` when it is not here or cannot be read."""
        try:
            record = orjson.loads(self._path(turn_id).read_bytes())
        except (OSError, ValueError):
            return None
        prompt = record.get("prompt") if isinstance(record, dict) else None
        return prompt if isinstance(prompt, str) else None

    def remove(self, turn_id: str) -> None:
        """Forget the prompt of a turn, if it is here.

        Raises:
            OSError: It is here and could not be removed.
        """
        self._path(turn_id).unlink(missing_ok=True)

    def forget_before(self, wall_s: float) -> None:
        """Remove prompts that were put here before *wall_s* and whose turn nobody has ended or recovered since."""
        for path in self._folder.glob("*.json"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < wall_s:
                    path.unlink()

    def _path(self, turn_id: str) -> Path:
        return self._folder / f"{hashlib.sha256(turn_id.encode('utf-8', 'replace')).hexdigest()[:32]}.json"

    def _sync_folder(self) -> None:
        # The new name stands in the folder's own blocks, which fsync of the file does not cover.
        fd = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
