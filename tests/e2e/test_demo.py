"""`pellucid demo` from start to end, and what it leaves behind."""

import os
import re
import subprocess
import sys
import uuid
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from PIL import Image

pytestmark = pytest.mark.stack


def marked(mark: str) -> list[str]:
    """Processes that inherited a mark in their environment and still run."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("PELLUCID_TEST_MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.name())
    return found


def abandoned_segments() -> set[str]:
    """Shared memory of embedded Tritons whose launchers are gone; those of other stacks on this machine live on.

    Names tell the namespace of the launcher's PID, and the PID.
    """
    segments = {segment.name: re.findall(r"\d+", segment.name) for segment in Path("/dev/shm").glob("*pellucid*")}
    return {name for name, (_, pid, *_) in segments.items() if not psutil.pid_exists(int(pid))}


def test_the_demo_makes_its_pictures_says_what_it_measured_and_leaves_nothing(repository: Path, tmp_path: Path) -> None:
    mark, before = uuid.uuid4().hex, abandoned_segments()
    command = [sys.executable, "-m", "pellucid_client", "demo", "--out", str(tmp_path / "demo")]
    done = subprocess.run(
        [*command, "--repository", str(repository)],
        env=os.environ | {"PELLUCID_TEST_MARK": mark},
        timeout=280,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # 2 identities x 6 axes x 9 steps, and happiness and sadness with and without a lock for both.
    for name, rows in (("axes", 12), ("locks", 8)):
        with Image.open(tmp_path / "demo" / f"{name}.png") as drawn:
            assert drawn.width >= 9 * 64
            assert drawn.height >= rows * 64
    for axis in ("happiness", "surprise", "masculine", "sadness", "brightness", "age"):
        assert axis in done.stdout
    assert marked(mark) == []
    assert abandoned_segments() <= before
