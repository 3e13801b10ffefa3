"""The launcher's options."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from pellucid_triton.errors import InvalidSettingError


def default_cache_dir() -> Path:
    """Return `$XDG_CACHE_HOME/pellucid/triton`, or the same below `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "pellucid" / "triton"


@dataclass(frozen=True)
class Settings:
    """How one embedded Triton is run; raises InvalidSettingError for a value outside its limits."""

    repository: Path
    """Directory of model directories (`<model>/config.pbtxt`); anything else in it is passed over."""
    host: str = "127.0.0.1"
    """Address that all three ports are bound to."""
    grpc_port: int = 0
    """Port of the gRPC service; 0 takes a free one, and keeps it over restarts."""
    http_port: int = 0
    """Port of the HTTP service; 0 as above."""
    metrics_port: int = 0
    """Port of the Prometheus metrics; 0 as above."""
    models: tuple[str, ...] = ()
    """Models to load at start; empty loads all of the repository."""
    threads: int = 0
    """Threads that one model may compute with, over all its instances; 0 means the usable cores."""
    cache_dir: Path = field(default_factory=default_cache_dir)
    """Where the server's environments and logs are kept."""
    log_file: Path | None = None
    """Log of the server and its backends; by default a file of this launcher's below `cache_dir`."""
    trace_endpoint: str = ""
    """Base URL of an OTLP/HTTP endpoint for spans of what is sent with a trace; empty traces nothing."""
    start_timeout_s: float = 180.0
    """Longest wait for the server to be ready, its models loaded; making the environment not counted."""
    stop_grace_s: float = 10.0
    """Time between asking the server to stop and killing it."""

    def __post_init__(self) -> None:
        if not self.repository.is_dir():
            raise InvalidSettingError(f"repository: {self.repository} is not a directory")
        for name in ("grpc_port", "http_port", "metrics_port"):
            port = getattr(self, name)
            if not 0 <= port <= 65535:
                raise InvalidSettingError(f"{name}: {port} is not within 0..65535")
        if self.threads < 0:
            raise InvalidSettingError(f"threads: {self.threads} is below 0")
        for name in ("start_timeout_s", "stop_grace_s"):
            if getattr(self, name) <= 0:
                raise InvalidSettingError(f"{name}: {getattr(self, name)} is not above 0")
