"""What several tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from turnscope.testing import Recording


def run_python(program: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run *program* in a process of its own, in *folder*, with the same packages."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment}
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=env, capture_output=True, text=True, timeout=30, check=False
    )


def marks_on(recording: Recording, kind: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return (lane, phase, attributes) of the marks on lanes of *kind*."""
    return [
        (mark["lane"], mark["phase"], mark.get("attrs", {}))
        for mark in recording.marks()
        if mark["lane"].partition(":")[0] == kind
    ]
