"""Settings of the gateway, from the environment."""

from pathlib import Path
from typing import Annotated, Self

from annotated_types import Ge, Gt
from pydantic import model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Positive = Annotated[int, Gt(0)]
NotNegative = Annotated[int, Ge(0)]
Seconds = Annotated[float, Gt(0)]


class Settings(BaseSettings):
    """Settings of the gateway; each is read from the environment variable `PELLUCID_` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="PELLUCID_", use_attribute_docstrings=True, frozen=True)

    address: str = "127.0.0.1:50051"
    """Where the gateway listens, `host:port`; port 0 takes a free one."""

    triton_address: str = "127.0.0.1:8001"
    """Triton's gRPC endpoints: `host:port`, several parted by commas, or `dns:///name:port` for all addresses of a
    name."""

    workers: Positive = 1
    """Gateway processes that share the port, each with limits and quotas of its own."""

    worker: NotNegative = 0
    """Number of this process among the workers; set by their supervisor, 0 where there is none."""

    connection_age_s: Seconds = 300.0
    """Seconds after which a client is asked to connect anew, so that connections spread over processes that came later.
    Calls under way are not disturbed."""

    model_repository: str = "model_repository"
    """Where versions' files and axes are read: the repository that Triton serves, as a path or an fsspec URL."""

    manifest_key: Path | None = None
    """File with the Ed25519 public key (PEM) that the repository's manifest must be signed with; without it nothing is
    verified."""

    catalog_interval_s: Seconds = 1.0
    """Seconds between looks at Triton and the repository for models, versions and axes that came or went."""

    max_in_flight_batches: Positive = 2
    """Batches of one kind (model, version, priority, outputs, shapes) that are at Triton at the same time."""

    max_calls: Positive = 1024
    """Calls that may be open at the same time; more are refused."""

    max_in_flight_images: Positive = 1024
    """Images that all requests together may have under way. Unary calls beyond it are refused; streams wait."""

    max_in_flight_bytes: Positive = 256 * 2**20
    """Bytes of tensors and encoded images that all requests together may hold. Unary calls beyond it are refused;
    streams wait."""

    stream_window: Positive = 4
    """Batches that one stream keeps in flight ahead of what its client has taken."""

    style_cache_bytes: NotNegative = 64 * 2**20
    """Bytes of styles (latents behind a mapping network) that are remembered, so that the same seed is mapped once."""

    encoder_threads: Positive = 2
    """Threads that encode and decode images."""

    max_image_px: Positive = 4096 * 4096
    """Pixels of the largest image taken in; read from its header before it is decoded."""

    triton_timeout_s: Seconds = 60.0
    """Seconds after which a Triton that does not answer is given up. Callers' deadlines are kept apart from it."""

    drain_s: Seconds = 30.0
    """Seconds that requests under way are given after SIGTERM."""

    admin_address: str = "127.0.0.1:9464"
    """Where metrics, probes and the debug page are served over HTTP, `host:port`; port 0 takes a free one, and nothing
    serves them where it is empty. Nobody is asked who they are: keep it from the outside."""

    channelz_address: str = ""
    """Where grpc.channelz is served, `host:port` on loopback; empty for nowhere."""

    callers_file: Path | None = None
    """YAML file of callers: their keys, subjects and certificates, permissions and quotas. Taken up when it changes."""

    allow_anonymous: bool = False
    """Whether those who show no credential are served. On loopback without callers they are in any case."""

    jwt_issuer: str = ""
    """Issuer (`iss`) of the tokens that are taken; without one none are."""

    jwt_audience: str = ""
    """Audience (`aud`) that tokens must be for."""

    jwt_jwks: str = ""
    """The issuer's signing keys, a JWK set: a file or an https URL."""

    jwt_leeway_s: Annotated[float, Ge(0)] = 30.0
    """Seconds that the issuer's clock may differ."""

    tls_certificate: Path | None = None
    """PEM file of the gateway's certificate chain; replaced without a restart, as are the key and the authorities."""

    tls_key: Path | None = None
    """PEM file of the certificate's private key."""

    tls_client_ca: Path | None = None
    """PEM file of the authorities of which every client must show a certificate. Default: none is asked for."""

    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""

    @model_validator(mode="after")
    def _check_identity(self) -> Self:
        if len({bool(self.jwt_issuer), bool(self.jwt_audience), bool(self.jwt_jwks)}) > 1:
            raise ValueError("jwt_issuer, jwt_audience and jwt_jwks are needed together")
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError("tls_certificate and tls_key are needed together")
        if self.tls_client_ca and not self.tls_certificate:
            raise ValueError("tls_client_ca needs tls_certificate and tls_key")
        if self.jwt_issuer and not self.callers_file:
            raise ValueError("jwt_issuer needs callers_file, which says what tokens may do")
        return self
