"""Where metrics are served: a host, this one alone unless another is named, and a port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope.errors import ConfigurationError

if TYPE_CHECKING:
    import socket

_LOOPBACK: Final = "127.0.0.1"


class Address(NamedTuple):
    """A host and a port; port 0 is any that is free."""

    host: str
    port: int

    @property
    def family(self) -> socket.AddressFamily:
        """Whether the host is one of IPv6."""
        import socket  # noqa: PLC0415 -- for who serves; whoever imports turnscope does without

        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address_of(text: object) -> Address:
    """Return ``host:port``, ``[host]:port`` or ``port`` as an address; without a host it is loopback.

    Raises:
        ConfigurationError: It is none of them.
    """
    host, _, port = str(text).strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or _LOOPBACK
    if not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ConfigurationError(f"{text!r} is no address to serve metrics at; give HOST:PORT, like 127.0.0.1:9464")
    return Address(host, int(port))


def check_free(address: Address) -> None:
    """See that somebody can listen at *address*.

    Raises:
        ConfigurationError: Another one does, or the host is none of this machine's.
    """
    import socket  # noqa: PLC0415 -- as above

    try:
        with socket.socket(address.family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except OSError as error:
        raise ConfigurationError(
            f"metrics cannot be served at {address}: {error.strerror or error}. "
            "Choose another port, or stop whoever listens there."
        ) from error
