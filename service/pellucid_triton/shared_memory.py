"""Names for the server's shared memory segments, and their removal once their launcher is gone.

The Python backend leaves its segments behind when it is killed. Their names begin with a prefix that
identifies the launcher: PID namespace, PID and the moment that process began, so that neither a
reused PID nor a container that shares /dev/shm is taken for a dead launcher of ours. The launcher's
guardian removes them; what is done here is for the case that launcher and guardian were killed together.
"""

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

_FOLDER = Path("/dev/shm")  # noqa: S108 - where Linux shows POSIX shared memory, not a temporary file
_FAMILY = "pellucid-triton"


def new_prefix() -> str:
    """Return a prefix for the segments of one server started by this process."""
    return f"{_FAMILY}-{_namespace()}-{os.getpid()}-{_birth(os.getpid())}-{secrets.token_hex(4)}"


def segments(prefix: str) -> list[Path]:
    """Return the segments that exist under the prefix."""
    return sorted(_FOLDER.glob(f"{prefix}*"))


def sweep(prefix: str) -> None:
    """Remove the segments of one server, which must have ended."""
    for path in segments(prefix):
        path.unlink(missing_ok=True)


def sweep_dead_launchers() -> None:
    """Remove the segments of launchers of this PID namespace that no longer live."""
    own = f"{_FAMILY}-{_namespace()}-"
    for path in segments(own):
        match = re.match(r"(\d+)-(\d+)-", path.name.removeprefix(own))
        # What another user's launcher left is that user's to remove.
        with suppress(PermissionError):
            if match and _birth(int(match[1])) != match[2]:
                path.unlink(missing_ok=True)


def _namespace() -> str:
    return str(os.stat("/proc/self/ns/pid").st_ino)


def _birth(pid: int) -> str | None:
    """Return when the process began, in clock ticks since boot, or None where there is none."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    # A process may end between the opening of its file and the reading.
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field, a name in parentheses, may hold spaces; the start is the 22nd.
    return status.rpartition(")")[2].split()[19]
