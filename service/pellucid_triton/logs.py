"""Log files of the server."""

import os
from pathlib import Path

_KEPT = 10


def default_log_file(cache_dir: Path) -> Path:
    """Return this launcher's log file below the cache directory, and remove all but the newest ones."""
    folder = cache_dir / "logs"
    for old in sorted(folder.glob("triton-*.log"), key=lambda path: path.stat().st_mtime)[: 1 - _KEPT]:
        old.unlink(missing_ok=True)
    return folder / f"triton-{os.getpid()}.log"


def last_lines(path: Path, count: int = 15) -> str:
    """Return the end of a log, with its path."""
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    return "\n  ".join([f"see {path}, which ends with", *lines[-count:]])
