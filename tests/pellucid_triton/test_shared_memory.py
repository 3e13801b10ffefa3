import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pellucid_triton.shared_memory import new_prefix, segments, sweep_dead_launchers

_SHARED = Path("/dev/shm")


@pytest.fixture
def dead_prefix() -> Iterator[str]:
    """The prefix that a process chose which has ended."""
    code = "from pellucid_triton.shared_memory import new_prefix; print(new_prefix())"
    prefix = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    yield prefix
    for path in segments(prefix):
        path.unlink()


def test_two_servers_of_one_launcher_have_different_prefixes() -> None:
    assert new_prefix() != new_prefix()


def test_segments_of_dead_launchers_are_removed(dead_prefix: str) -> None:
    (_SHARED / f"{dead_prefix}_region").write_bytes(b"left behind")
    sweep_dead_launchers()
    assert segments(dead_prefix) == []


def test_segments_of_living_launchers_and_of_others_stay() -> None:
    own = _SHARED / f"{new_prefix()}_region"
    foreign = _SHARED / f"triton_python_backend_shm_region_{own.name[-12:]}"
    own.touch()
    foreign.touch()
    try:
        sweep_dead_launchers()
        assert own.exists()
        assert foreign.exists()
    finally:
        own.unlink()
        foreign.unlink()


def test_a_reused_pid_is_not_taken_for_the_launcher() -> None:
    family, namespace, pid, birth = new_prefix().rsplit("-", 1)[0].rsplit("-", 3)
    old = _SHARED / f"{family}-{namespace}-{pid}-{int(birth) - 1}-00000000_region"
    old.touch()
    sweep_dead_launchers()
    assert not old.exists()


def test_another_pid_namespace_is_left_alone() -> None:
    family, namespace, _, birth = new_prefix().rsplit("-", 1)[0].rsplit("-", 3)
    foreign = _SHARED / f"{family}-{int(namespace) + 1}-999999999-{birth}-00000000_region"
    foreign.touch()
    try:
        sweep_dead_launchers()
        assert foreign.exists()
    finally:
        foreign.unlink()


@pytest.mark.parametrize("rest", ["", "pid", "12", "12-", "12-x-segment", "-12-13-segment"])
def test_a_name_that_is_not_a_launchers_is_left_alone(rest: str) -> None:
    family, namespace, *_ = new_prefix().rsplit("-", 1)[0].rsplit("-", 3)
    foreign = _SHARED / f"{family}-{namespace}-{rest}"
    foreign.touch()
    try:
        sweep_dead_launchers()
        assert foreign.exists()
    finally:
        foreign.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_a_dead_launcher_of_another_user_is_left_to_that_user(dead_prefix: str) -> None:
    segment = _SHARED / f"{dead_prefix}_region"
    segment.touch()
    code = (
        "import os; from pellucid_triton.shared_memory import sweep_dead_launchers; "
        "os.seteuid(65534); sweep_dead_launchers()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert segment.exists()
