"""The resource that telemetry is of: the process that recorded it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource

if TYPE_CHECKING:
    from collections.abc import Mapping


def resource_of(header: Mapping[str, object]) -> Resource:
    """Return the resource of the process that wrote *header*; what it does not say comes from the environment."""
    said = {
        "service.name": header.get("service"),
        "service.instance.id": header.get("proc"),
        "host.name": header.get("host"),
    }
    return _resource(tuple((name, value) for name, value in said.items() if isinstance(value, str) and value))


@functools.lru_cache(maxsize=256)
def _resource(said: tuple[tuple[str, str], ...]) -> Resource:
    return Resource.create(dict(said))
