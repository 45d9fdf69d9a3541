from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

import turnscope
from turnscope import testing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A busy machine is no failure: nothing here is judged by how long it takes.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for each test: none finds what another has kept."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("TURNSCOPE_CACHE", str(folder))
    return folder


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
