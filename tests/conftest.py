from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import turnscope
from turnscope import testing

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def recording() -> Iterator[testing.Recording]:
    """A recorder in memory, with a clock that stands still and ids that count up."""
    with testing.recorder() as recording:
        yield recording


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop for examples that await; afterwards nothing is recorded any more."""
    loop = asyncio.new_event_loop()
    yield loop
    turnscope.shutdown()
    loop.close()
