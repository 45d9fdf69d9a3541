"""Errors of the file system, as the reasons that losses count under; each is said once to the log."""

from __future__ import annotations

import errno
import logging
import threading
from typing import Final

from turnscope._guard import guard

log = logging.getLogger("turnscope")

_REASON: Final = {
    errno.ENOSPC: "no_space",
    errno.EDQUOT: "no_space",
    errno.EROFS: "read_only",
    errno.EACCES: "read_only",
    errno.EPERM: "read_only",
    errno.EFBIG: "file_limit",
    errno.ENOENT: "folder_vanished",
}


class Trouble:
    """What went wrong with the files of a journal, until it has been said."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._known: set[str] = set()
        self._untold: list[tuple[str, OSError]] = []

    def learn(self, error: OSError) -> str:
        """Return the reason of DROPS for *error*, and remember to say the first of each reason."""
        reason = _REASON.get(error.errno or 0, "io_error")
        with self._lock:
            if reason not in self._known:
                self._known.add(reason)
                self._untold.append((reason, error))
        return reason

    def tell(self) -> None:
        """Log what was learnt; call it without a lock, because a log handler may do anything."""
        with self._lock:
            untold, self._untold = self._untold, []
        for reason, error in untold:
            with guard:
                log.warning("the journal meets %s: %s; the turns go on, what is lost is counted", reason, error)
