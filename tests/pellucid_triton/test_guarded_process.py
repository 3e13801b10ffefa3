import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pellucid_triton.errors import InvalidSettingError, StartError
from pellucid_triton.guarded_process import GuardedProcess

_SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
_STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
# Another session: killing the group alone would leave this one behind.
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def _run(command: list[str], tmp_path: Path, grace_s: float = 0.3, shared_memory: str = "") -> GuardedProcess:
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return GuardedProcess(command, os.environ, tmp_path / "log", grace_s, scratch, shared_memory)


def test_the_status_of_a_process_that_ends_by_itself_is_returned(tmp_path: Path) -> None:
    assert _run([sys.executable, "-c", "raise SystemExit(7)"], tmp_path).wait() == 7


def test_a_process_that_was_killed_has_128_plus_the_signal_as_status(tmp_path: Path) -> None:
    process = _run(_SLEEPER, tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == 128 + signal.SIGKILL


def test_waiting_gives_none_when_the_time_is_over(tmp_path: Path) -> None:
    process = _run(_SLEEPER, tmp_path)
    assert process.wait(0.01) is None
    assert process.stop() == 128 + signal.SIGTERM


def test_stopping_twice_gives_the_same_status(tmp_path: Path) -> None:
    process = _run(_SLEEPER, tmp_path)
    assert process.stop() == process.stop()


def test_a_stubborn_process_and_its_children_are_killed_after_the_grace(tmp_path: Path) -> None:
    process = _run([sys.executable, "-c", _STUBBORN], tmp_path)
    log = tmp_path / "log"
    while not log.read_text().endswith("\n"):
        assert process.wait(0.01) is None
    child = psutil.Process(int(log.read_text()))
    assert process.stop() == 128 + signal.SIGKILL
    assert not child.is_running()


def test_scratch_folder_and_shared_memory_are_removed(tmp_path: Path) -> None:
    segment = Path(f"/dev/shm/pellucid-test-{os.getpid()}-segment")
    segment.write_bytes(b"left behind")
    _run([sys.executable, "-c", ""], tmp_path, shared_memory=f"pellucid-test-{os.getpid()}-").wait()
    assert not segment.exists()
    assert not (tmp_path / "scratch").exists()


def test_after_a_killed_guardian_the_launcher_cleans_up(tmp_path: Path) -> None:
    segment = Path(f"/dev/shm/pellucid-test-{os.getpid()}-segment")
    segment.touch()
    process = _run(_SLEEPER, tmp_path, shared_memory=f"pellucid-test-{os.getpid()}-")
    guardian = psutil.Process(process.pid).parent()
    assert guardian is not None
    guardian.kill()
    assert process.wait(10) == -signal.SIGKILL
    assert not segment.exists()
    assert not (tmp_path / "scratch").exists()


def test_a_command_that_does_not_exist_is_an_error_with_the_log(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=f"/no/such/program could not be run; see {tmp_path / 'log'}"):
        _run(["/no/such/program"], tmp_path)


def test_a_killed_launcher_takes_the_process_with_it(tmp_path: Path) -> None:
    launcher = (
        "import os, sys, time; from pathlib import Path; from pellucid_triton.guarded_process import GuardedProcess;"
        f"process = GuardedProcess({_SLEEPER!r}, os.environ, Path({str(tmp_path / 'log')!r}), 5.0);"
        "print(process.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", launcher], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        process = psutil.Process(int(running.stdout.readline()))
        running.kill()
    process.wait(10)


def test_a_log_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingError, match=f"log_file: {tmp_path} cannot be written: Is a directory"):
        GuardedProcess(_SLEEPER, os.environ, tmp_path, 5.0)
