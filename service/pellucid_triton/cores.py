"""How many cores this process may use."""

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(quota_file: Path = _QUOTA) -> int:
    """Return the cores of the process's affinity, limited by its container's CPU quota; at least 1."""
    cores = len(os.sched_getaffinity(0))
    if not quota_file.is_file():
        return cores
    quota, period = quota_file.read_text().split()
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))
