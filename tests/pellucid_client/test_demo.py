import os
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from pellucid_client.demo.command import show
from pellucid_client.demo.stack import Stack, StackError

STAND_IN = [sys.executable, "-m", "tests.pellucid_client.stand_in_stack"]


def stack(tmp_path: Path, *words: str) -> Stack:
    return Stack([*STAND_IN, *words], tmp_path / "stack.log", start_timeout_s=60)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def interrupted(running: Stack) -> None:
    with running:
        assert alive(running.pid)
        raise KeyboardInterrupt


def colours(path: Path) -> set[tuple[int, ...]]:
    with PIL.Image.open(path) as picture:
        packed = np.asarray(picture).astype(np.int64) @ [65536, 256, 1]
    return {(int(one) >> 16, int(one) >> 8 & 255, int(one) & 255) for one in np.unique(packed)}


def test_the_demo_draws_axes_and_locks_and_measures_both(tmp_path: Path) -> None:
    running = stack(tmp_path)
    paths, effects = show(running, "toy", [10, 20], 5, tmp_path)
    assert [path.name for path in paths] == ["axes.png", "locks.png"]
    own = effects[:6]
    assert [effect.moved for effect in own] == ["happiness", "masculine", *(f"other_{k}" for k in range(4))]
    assert {(effect.before, effect.after, effect.change, effect.raised_share) for effect in own} == {(0, 2, 2, 1)}
    side = [(effect.label, effect.locked, effect.change, effect.raised_share) for effect in effects[6:]]
    assert side == [("masculine", "", 1, 1), ("happiness", "masculine", 2, 1), ("masculine", "masculine", 0, 0)]
    assert not alive(running.pid)


def test_the_sheets_show_every_identity_axis_and_step(tmp_path: Path) -> None:
    [axes, locks], _ = show(stack(tmp_path), "toy", [10, 20], 2, tmp_path)
    moved = {(seed, 100 + 10 * k, 100 + 5 * k) for seed in (10, 20) for k in range(-4, 5)}
    masculine = {(seed, 100, 100 + 10 * k) for seed in (10, 20) for k in range(-4, 5)}
    locked = {(seed, 100 + 10 * k, 100) for seed in (10, 20) for k in range(-4, 5)}
    assert moved | masculine <= colours(axes)
    assert moved | locked <= colours(locks)


def test_a_stack_that_ends_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    broken = stack(tmp_path, "broken")
    with pytest.raises(StackError, match=r"ended before it was ready(.|\n)*no model repository here"), broken:
        pass
    assert not alive(broken.pid)


def test_a_stack_that_never_gets_ready_is_stopped(tmp_path: Path) -> None:
    slow = Stack([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log", start_timeout_s=0.3)
    with pytest.raises(StackError, match=r"not ready after 0\.3 s"), slow:
        pass
    assert not alive(slow.pid)


def test_the_stack_is_stopped_when_the_demo_fails(tmp_path: Path) -> None:
    running = stack(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        interrupted(running)
    assert not alive(running.pid)
