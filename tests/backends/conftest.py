from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from backends.server import PYTHON, Browser, Phoenix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DEMO_S = 240


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not PYTHON and item.get_closest_marker("backend"):
            item.add_marker(pytest.mark.skip(reason="no Phoenix here; make test-backends installs it"))


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of the example's demo: turns that went wrong in every known way, a killed gateway's among them."""
    folder = tmp_path_factory.mktemp("demo") / "traces"
    done = subprocess.run(
        [sys.executable, "-m", "examples.gateway.demo", "--folder", str(folder)],
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
        capture_output=True,
        timeout=_DEMO_S,
        check=False,
    )
    # 1: turns were judged otherwise than injected, as on a machine that is too busy; here only what was sent matters.
    assert done.returncode in {0, 1}, done.stderr
    return folder


@pytest.fixture
def phoenix(tmp_path: Path) -> Iterator[Phoenix]:
    folder = tmp_path / "phoenix"
    folder.mkdir()
    with Phoenix(folder) as phoenix:
        yield phoenix


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    return Browser(tmp_path / "browser")
