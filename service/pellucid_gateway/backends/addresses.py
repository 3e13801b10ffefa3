"""Where several Tritons are found: addresses as they are, and names that DNS turns into addresses."""

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

import dns.asyncresolver
import dns.exception
import structlog

LIFETIME_S = 2.0
"""Seconds that one look-up may take."""

_log = structlog.get_logger()


class Addresses:
    """Addresses parted by commas: each `host:port`, or `dns:///name:port` for all A and AAAA records of a name.

    `dns://server:port/name:port` asks that name server instead of the system's. Raises ValueError for anything else.
    """

    def __init__(self, text: str):
        parts = [part.strip() for part in text.split(",")]
        self._names = [_name(part) for part in parts if part.startswith("dns:")]
        self._known: dict[_Name, list[str]] = {}
        self.fixed = list(dict.fromkeys(_checked(part) for part in parts if not part.startswith("dns:")))

    @property
    def may_change(self) -> bool:
        """Whether there are names, which are to be resolved again and again."""
        return bool(self._names)

    async def resolve(self) -> list[str]:
        """Give all addresses, each once. Where a name does not resolve, what it last resolved to still holds."""
        for name in self._names:
            try:
                self._known[name] = await name.resolve()
            except dns.exception.DNSException as error:
                _log.warning("name not resolved", name=name.host, reason=str(error))
        return list(dict.fromkeys([*self.fixed, *(one for known in self._known.values() for one in known)]))


@dataclass(frozen=True)
class _Name:
    host: str
    port: int
    server: tuple[str, int] | None

    async def resolve(self) -> list[str]:
        resolver = dns.asyncresolver.Resolver(configure=self.server is None)
        if self.server:
            resolver.nameservers, resolver.port = [self.server[0]], self.server[1]
        answers = await resolver.resolve_name(self.host, family=socket.AF_UNSPEC, lifetime=LIFETIME_S, search=True)
        return sorted(_joined(address, self.port) for address in answers.addresses())


def _name(part: str) -> _Name:
    url = urlsplit(part)
    host, port = _split(url.path.removeprefix("/"), part)
    return _Name(host, port, _split(url.netloc, part, default_port=53) if url.netloc else None)


def _checked(part: str) -> str:
    _split(part, part)
    return part


def _split(address: str, part: str, default_port: int | None = None) -> tuple[str, int]:
    try:
        url = urlsplit(f"//{address}")
        host, port = url.hostname, url.port or default_port
    except ValueError as error:
        raise ValueError(f"{part!r} is no address: {error}") from error
    if not host or not port:
        raise ValueError(f"{part!r} is neither host:port nor dns:///name:port")
    return host, port


def _joined(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ipaddress.ip_address(address).version == 6 else f"{address}:{port}"
