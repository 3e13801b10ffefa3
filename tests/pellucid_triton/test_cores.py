import os
from pathlib import Path

import pytest

from pellucid_triton.cores import usable_cores


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", None), ("50000 100000", 1), ("100000 100000", 1), ("100000000 100000", None)],
)
def test_a_container_s_quota_limits_the_cores(tmp_path: Path, quota: str, expected: int | None) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(f"{quota}\n")
    assert usable_cores(file) == (expected or len(os.sched_getaffinity(0)))


def test_without_a_quota_all_cores_of_the_affinity_count(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "none") == len(os.sched_getaffinity(0))
