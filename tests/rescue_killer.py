"""Rescues a thread, or undoes that, once for each file operation in it, and kills itself there.

`python rescue_killer.py ROLLOUT HOME apply|undo` prints a line for each run: whether it was killed, what the rollout
is then, and what is wrong if anything is. The last run is the one that comes to its end.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from turnscope_analyzer.rescue import command

MOMENTS = {"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.utime", "sqlite3.connect"}
OLD_NS = 1_700_000_000_000_000_000
MOST = 1_000


class Home:
    """A home with one thread, set back to what it was before each run."""

    def __init__(self, rollout: Path, folder: Path) -> None:
        self.rollout, self.folder = rollout, folder
        self.old = rollout.read_bytes()
        [self.index] = folder.glob("*.sqlite")
        self._rows = self.index.read_bytes()
        self.do("apply")
        self.new = rollout.read_bytes()

    def do(self, what: str) -> None:
        """Rescue the thread, or undo that."""
        wanted = {"apply": what == "apply", "undo": what == "undo", "fork": False, "force": False}
        with contextlib.redirect_stderr(io.StringIO()):
            command.answer(command.Request(str(self.rollout), None, None, 65_536, **wanted))

    def set_back(self, what: str) -> None:
        """Let the home be as it is before *what*."""
        shutil.rmtree(self.folder / "turnscope-backups", ignore_errors=True)
        for database in self.folder.glob("*.sqlite*"):
            database.unlink()
        self.rollout.write_bytes(self.old)
        self.index.write_bytes(self._rows)
        for path in (self.rollout, self.index):
            os.utime(path, ns=(OLD_NS, OLD_NS))
        if what == "undo":
            self.do("apply")

    def found(self) -> str:
        """Say what is there: the old file or the new one, and whether there is a way back to the old one."""
        content = self.rollout.read_bytes()
        if content == self.old:
            return "old"
        kept = [path.read_bytes() for path in self.folder.glob("turnscope-backups/*/[01]")]
        if content != self.new or self.old not in kept:
            return "damaged" if content != self.new else "new, without a backup"
        for path in (self.rollout, self.index):
            os.utime(path, ns=(OLD_NS, OLD_NS))
        self.do("undo")
        return "new" if self.rollout.read_bytes() == self.old else "new, and not to be undone"


def run(home: Home, what: str, moment: int) -> bool:
    """Do *what* in a process that kills itself at file operation number *moment*; return whether it came to that."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return os.WIFSIGNALED(status)
    left = moment

    def count(event: str, _arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in MOMENTS:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    home.do(what)
    os._exit(0)


def main(rollout: str, folder: str, what: str) -> None:
    """Go through all moments."""
    home = Home(Path(rollout), Path(folder))
    for moment in range(MOST):
        home.set_back(what)
        was_killed = run(home, what, moment)
        print("killed" if was_killed else "done", home.found(), flush=True)  # noqa: T201 -- its result
        if not was_killed:
            break


if __name__ == "__main__":
    main(*sys.argv[1:])
