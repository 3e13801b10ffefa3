"""Whether a file has changed."""

from pathlib import Path


def file_stamp(path: Path) -> tuple[int, ...] | None:
    """Tell one state of a file from the next by its time, size and inode; None where there is no file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
