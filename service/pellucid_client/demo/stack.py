"""The stack as a process of its own: `pellucid up` on free ports."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

_POLL_S = 0.1
_STOP_S = 30.0
_SHOWN_LINES = 15


class StackError(Exception):
    """The stack did not start; the message ends with its last words."""


class Stack:
    """Starts the stack on entry and stops it on exit, whatever happened in between."""

    def __init__(self, command: list[str], log: Path, start_timeout_s: float) -> None:
        self._command = command
        self._log = log
        self._start_timeout_s = start_timeout_s
        self.facts: dict[str, Any] = {}
        """What the stack said when it was ready; `gateway` is the address."""

    @classmethod
    def of_repository(cls, repository: Path, log: Path, start_timeout_s: float, edge: str = "") -> Self:
        """Return the stack that serves a model repository, with an edge at `edge` (`host:port`) where one is wanted."""
        command = [sys.executable, "-m", "pellucid_client", "up", "--json"]
        command += [
            "--address",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--edge",
            edge,
            "--repository",
            str(repository),
        ]
        return cls(command, log, start_timeout_s)

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            # A process group of its own: Ctrl-C reaches the demo alone, which then stops the stack in order.
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        try:
            self.facts = self._ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    @property
    def pid(self) -> int:
        """The process, and its group."""
        return self._process.pid

    def _ready(self) -> dict[str, Any]:
        lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        assert self._process.stdout is not None  # noqa: S101 - it was asked for above
        threading.Thread(target=_read, args=(self._process.stdout, lines), daemon=True).start()
        end = time.monotonic() + self._start_timeout_s
        while time.monotonic() < end:
            try:
                line = lines.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if not line:
                raise StackError(f"the stack ended before it was ready\n{self._last_words()}")
            if line.startswith(b"{"):
                return dict(json.loads(line))
        raise StackError(f"the stack was not ready after {self._start_timeout_s:g} s\n{self._last_words()}")

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _kill_group(self.pid)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:]
        return "\n".join([f"{self._log} ends with:", *(f"  {line}" for line in lines)])


def _read(stdout: IO[bytes], lines: "queue.SimpleQueue[bytes]") -> None:
    """Pass lines on, an empty one at the end; the pipe is read all the time, so that nobody blocks on it."""
    for line in stdout:
        lines.put(line)
    lines.put(b"")


def _kill_group(group: int) -> None:
    """End what the stack may have left behind, as when it was killed itself."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
