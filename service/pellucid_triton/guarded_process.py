"""A child process that ends when it is told to, and when its launcher ends in whatever way."""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from pellucid_triton.errors import InvalidSettingError, StartError
from pellucid_triton.shared_memory import sweep

_GUARDIAN = Path(__file__).with_name("guardian.py")


class GuardedProcess:
    """Runs a command under a guardian (see guardian.py) and appends its output to a log file.

    `scratch` (a folder) and `shared_memory` (a prefix of segment names) are removed after its end.
    Raises InvalidSettingError when the log cannot be written, and StartError when the command cannot be run.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log_file: Path,
        grace_s: float,
        scratch: Path | None = None,
        shared_memory: str = "",
    ) -> None:
        guardian = [
            sys.executable,
            "-I",
            "-S",
            str(_GUARDIAN),
            str(grace_s),
            str(scratch or ""),
            shared_memory,
        ]
        self._scratch = scratch
        self._shared_memory = shared_memory
        with _open(log_file) as log:
            self._guardian = subprocess.Popen(
                [*guardian, "--", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(environment),
                # Ctrl-C reaches the launcher alone, which then stops its children in order.
                start_new_session=True,
            )
        # For the type checker: both are pipes.
        assert self._guardian.stdin is not None  # noqa: S101
        assert self._guardian.stdout is not None  # noqa: S101
        self._lifeline = self._guardian.stdin
        with self._guardian.stdout as output:
            line = output.readline()
        if not line:
            self.stop()
            raise StartError(f"{command[0]} could not be run; see {log_file}")
        self.pid = int(line)

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Return the exit status (128 + n after signal n), or None when the time is over."""
        try:
            status = self._guardian.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        self._end(status)
        return status

    def stop(self) -> int:
        """End the process, kill it after the grace, and return its exit status; nothing of it is left."""
        self._lifeline.close()
        status = self._guardian.wait()
        self._end(status)
        return status

    def _end(self, status: int) -> None:
        self._lifeline.close()
        # A guardian that was itself killed could not clean up.
        if status < 0:
            if self._scratch:
                shutil.rmtree(self._scratch, ignore_errors=True)
            if self._shared_memory:
                sweep(self._shared_memory)


def _open(log_file: Path) -> BinaryIO:
    try:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        return log_file.open("ab")
    except OSError as error:
        raise InvalidSettingError(f"log_file: {log_file} cannot be written: {error.strerror}") from error
