"""`pellucid demo` from start to end, and what it leaves behind."""

import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from PIL import Image

pytestmark = pytest.mark.stack


def ours() -> set[str]:
    """Shared memory of embedded Tritons."""
    return {str(segment) for segment in Path("/dev/shm").glob("*pellucid*")}


def test_the_demo_makes_its_pictures_says_what_it_measured_and_leaves_nothing(repository: Path, tmp_path: Path) -> None:
    before, segments = set(psutil.pids()), ours()
    command = [sys.executable, "-m", "pellucid_client", "demo", "--out", str(tmp_path / "demo")]
    done = subprocess.run(
        [*command, "--repository", str(repository)], timeout=280, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pictures = {path.stem: Image.open(path).size for path in (tmp_path / "demo").glob("*.png")}
    assert len(pictures) >= 2
    # 2 identities x 6 axes x 9 steps of 64 px, at least.
    assert max(height for _, height in pictures.values()) >= 12 * 64
    assert min(width for width, _ in pictures.values()) >= 9 * 64
    assert re.search(r"happiness", done.stdout)
    assert re.search(r"brightness", done.stdout)
    assert ours() == segments
    left = [p.name() for p in psutil.process_iter() if p.pid not in before and p.name() == "tritonserver"]
    assert left == []
