"""Runs one command, and sees to it that nothing of it survives its launcher.

Run as a script: `python guardian.py GRACE_S SCRATCH SHARED_MEMORY -- COMMAND...`.

1. It starts the command in a process group of its own and writes its PID to standard output.
2. It waits until the command ends, until it is told to stop (SIGTERM), or until its standard input is
   closed, which is also what happens when the launcher is killed.
3. It asks the command to end, kills what is left of its group after GRACE_S seconds, waits for all
   descendants, and removes the folder SCRATCH and the segments of /dev/shm that begin with SHARED_MEMORY
   (either may be empty).
4. Its exit status is the command's; 128 + n where signal n ended it.

Only the standard library is imported: the guardian is to be small, and to start quickly.
"""

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main(grace_s: float, scratch: str, shared_memory: str, command: list[str]) -> int:
    """Run the command to its end or to the launcher's, clean up, and return the exit status."""
    stop = _stop_signal()
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    # The guardian may be killed too: then the kernel kills the command.
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        start_new_session=True,
        preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
    )
    print(process.pid, flush=True)
    ended = os.pidfd_open(process.pid)
    if not _wait([ended, stop, sys.stdin.fileno()], ended, None):
        process.terminate()
        _wait([ended], ended, grace_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    status = process.wait()
    _end_descendants()
    _clean_up(scratch, shared_memory)
    return status if status >= 0 else 128 - status


def _stop_signal() -> int:
    """Return a descriptor that is readable once SIGTERM has arrived; SIGINT is the launcher's matter."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return readable


def _wait(descriptors: list[int], wanted: int, timeout_s: float | None) -> bool:
    """Wait for any of the descriptors and say whether `wanted` is among those that are ready."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    ready = poll.poll(None if timeout_s is None else timeout_s * 1000)
    return wanted in [descriptor for descriptor, _ in ready]


def _end_descendants() -> None:
    # Orphans of the command, also those that left its group, became children of this subreaper.
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while pids := children.read_text().split():
        for pid in pids:
            os.kill(int(pid), signal.SIGKILL)
        os.waitpid(-1, 0)


def _clean_up(scratch: str, shared_memory: str) -> None:
    if scratch:
        shutil.rmtree(scratch, ignore_errors=True)
    if shared_memory:
        for path in Path("/dev/shm").glob(f"{shared_memory}*"):  # noqa: S108 - POSIX shared memory
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[5:]))
