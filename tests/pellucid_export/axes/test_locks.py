import numpy as np
import pytest

from pellucid.v1.axis_pb2 import Axis
from pellucid.v1.latent_pb2 import SPACE_W, LayerRange
from pellucid_export.axes import locks
from pellucid_export.axes.errors import AxesError
from pellucid_gateway.axes import Direction, Move, Unit, solve

pytestmark = pytest.mark.torch

GENERATOR = np.random.default_rng(0)


def unit(*shape: int) -> locks.Vectors:
    rows = GENERATOR.standard_normal(shape)
    normalised: locks.Vectors = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return normalised


def test_an_edit_moves_its_own_coordinate_by_one_and_keeps_the_locked_ones() -> None:
    direction, locked = unit(16), unit(3, 16)
    step = locks.step(direction, locked)
    assert direction @ step == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(locked @ step, 0, atol=1e-12)


def test_no_shorter_displacement_meets_the_constraints() -> None:
    direction, locked = unit(16), unit(3, 16)
    constraints = np.vstack([direction, locked])
    least = np.linalg.pinv(constraints) @ np.array([1.0, 0, 0, 0])
    np.testing.assert_allclose(locks.step(direction, locked), least, atol=1e-12)


def test_without_locks_a_step_is_the_direction() -> None:
    direction = unit(16)
    np.testing.assert_allclose(locks.step(direction, np.empty((0, 16))), direction, atol=1e-15)


def test_locked_directions_may_depend_on_each_other() -> None:
    direction, locked = unit(16), unit(1, 16)
    twice = np.vstack([locked, 5 * locked])
    np.testing.assert_allclose(locks.unlocked(direction, twice), locks.unlocked(direction, locked), atol=1e-12)


def test_an_axis_that_is_locked_cannot_be_moved() -> None:
    direction = unit(16)
    with pytest.raises(AxesError, match=r"leave 0\.000 of the axis; at least 0\.05 is needed"):
        locks.step(direction, -2 * direction[None])


@pytest.mark.parametrize("layers", [None, LayerRange(first=2, last=4)])
def test_a_step_in_w_is_the_one_that_is_served(layers: LayerRange | None) -> None:
    directions = unit(3, 16)
    axes = [Axis(name=str(k), space=SPACE_W, step_length=0.3 + k, layers=layers) for k in range(3)]
    moved, *locked = (Direction(axis, row).over(6) for axis, row in zip(axes, directions, strict=True))
    move = Move(moved, Unit.STEPS, np.array([1.0]), "")
    served = solve(np.zeros((1, 6 * 16), np.float32), [move], locked).delta.reshape(6, 16)
    ours = 0.3 * locks.step(directions[0], directions[1:])
    moving = range(2, 5) if layers else range(6)
    expected = [ours if layer in moving else np.zeros(16) for layer in range(6)]
    np.testing.assert_allclose(served, expected, atol=1e-12)
