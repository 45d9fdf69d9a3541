from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lab.binary import VERSIONS, binary
from lab.collector import Collector
from lab.model import Models
from lab.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where somebody said where Codex is, its absence is an error and no reason to skip.
_MISSING = [] if os.environ.get("TURNSCOPE_CODEX") else [version for version in VERSIONS if binary(version) is None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _MISSING and item.get_closest_marker("lab"):
            item.add_marker(pytest.mark.skip(reason=f"no Codex {', '.join(_MISSING)} here; make lab installs it"))


@pytest.fixture(scope="session")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The stage, with every case that was chosen already on its way."""
    folder = tmp_path_factory.mktemp("lab")
    with Models() as models, Collector(folder / "otlp") as collector, Stage(folder, models, collector) as stage:
        params = [getattr(item, "callspec", None) for item in request.session.items]
        stage.announce(param.params["case"] for param in params if param is not None and "case" in param.params)
        yield stage
