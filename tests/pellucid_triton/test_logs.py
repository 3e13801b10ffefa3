import os
from pathlib import Path

from pellucid_triton.logs import default_log_file, last_lines


def test_only_the_newest_logs_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    for age in range(20):
        log = folder / f"triton-{age}.log"
        log.touch()
        os.utime(log, (1000 - age, 1000 - age))
    assert default_log_file(tmp_path) == folder / f"triton-{os.getpid()}.log"
    assert {path.name for path in folder.iterdir()} == {f"triton-{age}.log" for age in range(9)}


def test_the_end_of_a_log_is_quoted_with_its_path(tmp_path: Path) -> None:
    log = tmp_path / "triton.log"
    log.write_text("one\ntwo\nthree\n")
    assert last_lines(log, 2) == f"see {log}, which ends with\n  two\n  three"
    assert last_lines(tmp_path / "none") == f"see {tmp_path / 'none'}, which ends with"
