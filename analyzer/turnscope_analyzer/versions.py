"""Tell what runs here, as the reader of a bug report asks first."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """Return the installed version of turnscope, or say that it runs from a checkout."""
    try:
        return version("turnscope")
    except PackageNotFoundError:
        return "from a checkout"


def versions() -> dict[str, str]:
    """Return the versions of turnscope, Python, the engine and the platform, by name."""
    return {
        "turnscope": own_version(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "duckdb": version("duckdb"),
        "platform": platform.platform(terse=True),
    }
