"""A file system of a few megabytes, which a test can fill."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self


class SmallDisk:
    """Mounted at `folder` by `mounted`."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._filler = folder / "filler"

    @classmethod
    @contextmanager
    def mounted(cls, folder: Path, megabytes: int) -> Iterator[Self]:
        """Mount it. Raises CalledProcessError where that is not allowed."""
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
        subprocess.run(mount, check=True, capture_output=True)
        try:
            yield cls(folder)
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)

    def fill(self) -> None:
        """Leave no byte free."""
        try:
            with self._filler.open("wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(4096))
        except OSError:
            return

    def empty(self) -> None:
        """Give back what was filled."""
        self._filler.unlink()
