"""Where to listen, as it stands on the command line, and whether somebody else can come there."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import Final, NamedTuple

_FORM: Final = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%]+)\]|(?P<host>[^:\[\]]*)):(?P<port>\d{1,5})", re.ASCII)
_BACKLOG: Final = 128


class Address(NamedTuple):
    """A host and a port; port 0 is any free one."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can come there; a name other than localhost is not looked up."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Return the address that *text* is: ``127.0.0.1:4318``, ``[::1]:4318``, or ``:4318`` for all interfaces.

    Raises:
        ValueError: It is none.
    """
    found = _FORM.fullmatch(text)
    if found is None or int(found["port"]) > 65_535:
        raise ValueError(text)
    return Address(found["six"] or found["host"] or "0.0.0.0", int(found["port"]))  # noqa: S104, RUF100 -- was asked for


def listen(address: Address) -> socket.socket:
    """Return a socket that listens.

    Raises:
        OSError: The port is taken, or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    return socket.create_server(tuple(address), family=family, backlog=_BACKLOG)
