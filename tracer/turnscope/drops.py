"""The reasons for which something was not recorded, each with its own counter in the life file.

The order is part of the format on disk (docs/journal-format.md): a reason is only ever added at the end.
"""

from __future__ import annotations

from typing import Final

DROPS: Final = (
    "no_space",
    "read_only",
    "file_limit",
    "folder_vanished",
    "too_large",
    "not_encodable",
    "no_turn",
    "slots_full",
    "guard",
    "redacted",
    "capped",
    "retention",
    "io_error",
    "unknown_phase",
)
"""``redacted`` and ``capped`` count values that were replaced or cut, the others what was lost."""

DROP_INDEX: Final = {reason: index for index, reason in enumerate(DROPS)}
"""Place of a reason's counter."""
