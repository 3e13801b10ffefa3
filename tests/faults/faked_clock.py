"""A wall clock of one process that a test can turn; the monotonic one goes on as it is."""

from importlib.metadata import files
from pathlib import Path


class FakedClock:
    """Told by libfaketime; `settings` are environment variables for the process, `file` a place to keep the time."""

    def __init__(self, file: Path):
        self._file = file
        self.turn("+0")

    @property
    def settings(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def turn(self, offset: str) -> None:
        """Turn it to an offset from the true time, such as `+1d`."""
        part = self._file.with_suffix(".part")
        part.write_text(offset)
        part.replace(self._file)


def _library() -> Path:
    [found] = [file for file in files("libfaketime") or [] if file.name == "libfaketime.so.1"]
    return Path(found.locate())
