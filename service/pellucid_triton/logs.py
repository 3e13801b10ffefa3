"""Log files of the launched processes: `triton-PID.log` and `triton-PID-gateway.log`, by the launcher's PID."""

import os
from contextlib import suppress
from pathlib import Path

_KEPT = 10
_TAIL_BYTES = 64 * 1024


def default_log_file(cache_dir: Path) -> Path:
    """Return this launcher's log file below the cache directory.

    Of the logs of launchers that have ended, all but the newest are removed.
    """
    folder = cache_dir / "logs"
    ended = [path for path in folder.glob("triton-*.log") if not _is_of_a_living_launcher(path)]
    for old in sorted(ended, key=_modified_at)[:-_KEPT]:
        with suppress(OSError):
            old.unlink()
    return folder / f"triton-{os.getpid()}.log"


def last_lines(path: Path, count: int = 15) -> str:
    """Return the end of a log, with its path."""
    lines = _tail(path).decode(errors="replace").splitlines() if path.is_file() else []
    return "\n  ".join([f"see {path}, which ends with", *lines[-count:]])


def _is_of_a_living_launcher(path: Path) -> bool:
    return Path("/proc", path.stem.split("-")[1]).exists()


def _modified_at(path: Path) -> float:
    # Another launcher may have removed it by now.
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        return file.read()
