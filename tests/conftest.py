from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from turnscope import testing

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def recording() -> Iterator[testing.Recording]:
    """A recorder in memory, with a clock that stands still and ids that count up."""
    with testing.recorder() as recording:
        yield recording
