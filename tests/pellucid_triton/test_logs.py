import os
from pathlib import Path

import pytest

from pellucid_triton.logs import default_log_file, last_lines

_NO_PID = 10**8  # above the limit of Linux, 2**22


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of logs below a cache directory, `tmp_path`."""
    path = tmp_path / "logs"
    path.mkdir()
    return path


def _log(folder: Path, launcher: int, age: int, kind: str = "") -> str:
    log = folder / f"triton-{launcher}{kind}.log"
    log.touch()
    os.utime(log, (1000 - age, 1000 - age))
    return log.name


def test_only_the_newest_logs_are_kept_whether_triton_or_gateway_wrote_them(tmp_path: Path, folder: Path) -> None:
    names = [_log(folder, _NO_PID + age // 2, age, "-gateway" if age % 2 else "") for age in range(20)]
    assert default_log_file(tmp_path) == folder / f"triton-{os.getpid()}.log"
    assert {path.name for path in folder.iterdir()} == set(names[:10])


def test_the_logs_of_a_running_launcher_stay_however_old(tmp_path: Path, folder: Path) -> None:
    for age in range(20):
        _log(folder, _NO_PID + age, age)
    own = {_log(folder, os.getpid(), 100), _log(folder, os.getpid(), 100, "-gateway")}
    default_log_file(tmp_path)
    assert own < {path.name for path in folder.iterdir()}


def test_a_log_that_another_launcher_removed_meanwhile_is_passed_over(tmp_path: Path, folder: Path) -> None:
    # A link to nothing is found by name, and has no file to ask about: as after another's unlink.
    (folder / f"triton-{_NO_PID}.log").symlink_to(folder / "gone")
    assert default_log_file(tmp_path) == folder / f"triton-{os.getpid()}.log"


def test_the_end_of_a_log_is_quoted_with_its_path(tmp_path: Path) -> None:
    log = tmp_path / "triton.log"
    log.write_text("one\ntwo\nthree\n")
    assert last_lines(log, 2) == f"see {log}, which ends with\n  two\n  three"
    assert last_lines(tmp_path / "none") == f"see {tmp_path / 'none'}, which ends with"


def test_the_end_of_a_log_larger_than_memory_is_quoted(tmp_path: Path) -> None:
    log = tmp_path / "triton.log"
    with log.open("wb") as file:
        file.truncate(2**40)
        file.seek(0, os.SEEK_END)
        file.write("\nlast words: ½\n".encode())
    assert last_lines(log, 1) == f"see {log}, which ends with\n  last words: ½"
