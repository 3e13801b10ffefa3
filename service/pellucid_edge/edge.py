"""What an edge is told: addresses, limits, who may call from which page."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from pellucid_triton.addresses import Address
from pellucid_triton.errors import InvalidSettingError

MAX_MESSAGE_BYTES = 4 * 2**20
"""The gateway's limit of one message."""
_BASE64_MESSAGE_BYTES = MAX_MESSAGE_BYTES * 4 // 3


@dataclass(frozen=True)
class Jwt:
    """Tokens without which nobody passes: signed by a key of `jwks` (a file, or an http(s) URL), unexpired, of this
    issuer and for one of these audiences."""

    issuer: str
    audiences: tuple[str, ...]
    jwks: str

    @property
    def is_remote(self) -> bool:
        """Whether the keys are fetched from a URL."""
        return self.jwks.startswith(("http://", "https://"))


@dataclass(frozen=True)
class Tls:
    """PEM files of the certificate chain and its private key; replacing them takes effect without a restart."""

    certificate: str
    private_key: str


@dataclass(frozen=True)
class RateLimit:
    """Requests a minute that this edge lets through for each value of a header; requests without it share one count."""

    requests_per_minute: int
    header: str = "authorization"


@dataclass(frozen=True)
class Edge:
    """How one edge is run: by default beside a container named `gateway`, whose configuration deploy/envoy holds.

    Raises InvalidSettingError for a value outside its limits.
    """

    address: str = "0.0.0.0:8080"
    """Where it listens, `host:port`."""
    gateways: tuple[str, ...] = ("gateway:50051",)
    """Gateways as `host:port`; a name that stands for several addresses is several gateways."""
    admin_address: str = "127.0.0.1:9901"
    """Where Envoy's own administration listens: loopback only, since it can stop the edge."""
    folder: str = "/etc/envoy"
    """Where Envoy finds the files that belong to its configuration."""
    origins: tuple[str, ...] = ()
    """Origins whose pages may call, as `https://example.org`; `*` for all."""
    max_body_bytes: int = 16 * 2**20
    """Largest body of a JSON request: a message of numbers takes more room in JSON than one of Base64."""
    max_heap_bytes: int = 768 * 2**20
    """Memory at which Envoy takes no more requests: it holds each JSON body as a whole."""
    jwt: Jwt | None = None
    tls: Tls | None = None
    rate_limit: RateLimit | None = None
    gateway_ca: str | None = None
    """PEM file of the authorities that the gateways' certificates are checked against. Default: no TLS to them."""
    authorities: str = "/etc/ssl/certs/ca-certificates.crt"
    """PEM file of the authorities that the host of a JWKS URL is checked against."""

    def __post_init__(self) -> None:
        if not self.gateways:
            raise InvalidSettingError("gateways: there is none")
        for address in (self.address, self.admin_address, *self.gateways):
            Address.parse(address)
        if Address.parse(self.admin_address).host not in {"127.0.0.1", "::1"}:
            raise InvalidSettingError(f"admin_address: {self.admin_address} is not on loopback")
        if self.max_body_bytes < _BASE64_MESSAGE_BYTES:
            raise InvalidSettingError(
                f"max_body_bytes: {self.max_body_bytes} is below {_BASE64_MESSAGE_BYTES}, "
                f"which a message of {MAX_MESSAGE_BYTES} bytes takes in Base64"
            )
        if self.max_heap_bytes < 4 * self.max_body_bytes:
            raise InvalidSettingError(
                f"max_heap_bytes: {self.max_heap_bytes} is below four bodies of {self.max_body_bytes}"
            )
        for origin in self.origins:
            if origin != "*" and not _is_origin(origin):
                raise InvalidSettingError(f"origins: {origin!r} is neither * nor scheme://host[:port]")
        if self.jwt and not (self.jwt.issuer and self.jwt.audiences and self.jwt.jwks):
            raise InvalidSettingError(f"jwt: issuer, audience and keys are all needed, and they are {self.jwt}")
        if self.rate_limit and self.rate_limit.requests_per_minute < 1:
            raise InvalidSettingError(f"rate_limit: {self.rate_limit.requests_per_minute} a minute is below 1")


def _is_origin(text: str) -> bool:
    parts = urlsplit(text)
    return bool(parts.hostname) and parts.scheme in {"http", "https"} and text == f"{parts.scheme}://{parts.netloc}"
