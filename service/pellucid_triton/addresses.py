"""Addresses to listen on."""

import errno
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from pellucid_triton.errors import InvalidSettingError


@dataclass(frozen=True)
class Address:
    """A host and a port; as text `host:port`, or `[host]:port` where the host is an IPv6 address."""

    host: str
    port: int
    """0 stands for a free port, which is not chosen yet."""

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read what `str` gives; raises InvalidSettingError for anything else."""
        host, _, port = text.rpartition(":")
        address = cls(host.removeprefix("[").removesuffix("]"), int(port) if port.isdecimal() else -1)
        if not address.host or str(address) != text or not 0 <= address.port <= 65535:
            raise InvalidSettingError(f"address: {text!r} is not host:port or [IPv6 address]:port with a port to 65535")
        return address

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def choose_ports(wanted: Sequence[Address]) -> tuple[Address, ...]:
    """Return the wanted addresses, with a free port of the host in place of each 0.

    Raises InvalidSettingError where a port is in use, wanted twice, or cannot be listened on.
    """
    with ExitStack() as stack:
        # All are held until all are chosen, so that no two are the same.
        holders = [stack.enter_context(_listen(address)) for address in wanted]
        return tuple(
            Address(address.host, holder.getsockname()[1]) for address, holder in zip(wanted, holders, strict=True)
        )


def _listen(address: Address) -> socket.socket:
    try:
        # The least is IPv4: a container's localhost may have an IPv6 address that nobody can listen on.
        family, *_, resolved = min(socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM))
        return socket.create_server(resolved, family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InvalidSettingError(f"port {address.port} is in use on {address.host}") from error
        raise InvalidSettingError(f"address: {address} cannot be listened on: {error.strerror}") from error
