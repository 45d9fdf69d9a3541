"""How to collect: where to listen, for whom, and how much to take and to keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from turnscope_analyzer.collect.addresses import Address

_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Options:
    """How to collect.

    Attributes:
        http: Where to listen for HTTP.
        grpc: Where to listen for gRPC, None for nowhere.
        token: What senders have to give; None asks for nothing.
        keep_bytes: What the files may hold together.
        keep_days: How long a file is kept.
        file_bytes: Size from which on a file is closed.
        body_bytes: The longest request, as it came and unpacked.
        memory_bytes: What requests may hold together while they are received.
    """

    http: Address
    grpc: Address | None
    token: str | None = None
    keep_bytes: int = 1024 * _MIB
    keep_days: float = 14
    file_bytes: int = 16 * _MIB
    body_bytes: int = 32 * _MIB
    memory_bytes: int = 64 * _MIB
