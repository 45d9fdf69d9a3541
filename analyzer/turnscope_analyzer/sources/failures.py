"""Why something failed, in the words of the vocabulary, told from the words that a program left on file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Failure(NamedTuple):
    """An error kind of the vocabulary, the program's own word for it, and the HTTP status where one is on file."""

    error_type: str
    error_class: str | None
    status: int | None


class Kinds:
    """Error kinds by what an error's text says: rows of an expression and a kind, the first that is found decides."""

    def __init__(self, rows: Iterable[tuple[str, str]]) -> None:
        self._rows = tuple((re.compile(text, re.IGNORECASE), kind) for text, kind in rows)

    def of(self, *texts: str) -> str | None:
        """Return the kind that *texts* tell, None where they tell none."""
        return next((kind for pattern, kind in self._rows for text in texts if pattern.search(text)), None)
