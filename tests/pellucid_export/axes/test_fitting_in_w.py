"""The whole fit behind a mapping network whose axes are known; see `toys.toy_styled`."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pellucid.v1.latent_pb2 import SPACE_W, LayerRange
from pellucid_export.axes import axis_set, fitting
from pellucid_export.axes.fitting import Fitted, Plan
from pellucid_export.axes.generator import open_generator
from pellucid_export.axes.spaces import Region
from pellucid_export.axes.world import World, open_extractor
from pellucid_export.repository import Repository

from .toys.toy_styled import SCALES, A

pytestmark = pytest.mark.torch

# Truncation halves what the first layer says, and with it the labels' slopes, 2 of tilt and 2 of open: tilt is
# 3.5 + w . A, and the log odds of open are 1.3 + the first number of w. The second layer is not truncated: bent is 5
# times the third number of w, and a square.
TILT, OPEN, BENT = np.array(A), np.array([1, 0, 0, 0]), np.array([0, 0, 1, 0])
DEVIATIONS = (float(np.linalg.norm(TILT * SCALES)), 1.0, 0.2)
PLAN = Plan("known", samples=4000, fresh=200, seed=7)


def quietly(_description: str, _total: int) -> Callable[[int], None]:
    return lambda count: None


def world_of(models: Repository, region: Region) -> World:
    return World(open_generator(models, "styled", region=region), [open_extractor(models, "reader")])


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def fitted(styled: Repository, work: Path) -> Fitted:
    return fitting.fit(world_of(styled, Region(SPACE_W)), PLAN, work, quietly)


def test_directions_are_the_ones_that_the_styles_are_read_by(fitted: Fitted) -> None:
    for direction, expected in zip(fitted.directions, (TILT, OPEN, BENT), strict=True):
        assert direction @ expected > 0.99
    assert {axis.space for axis in fitted.axis_set.axes} == {SPACE_W}
    assert not any(axis.HasField("layers") for axis in fitted.axis_set.axes)


def test_a_step_is_one_standard_deviation_of_w_along_the_axis(fitted: Fitted) -> None:
    lengths = [axis.step_length for axis in fitted.axis_set.axes]
    np.testing.assert_allclose(lengths[:2], DEVIATIONS[:2], rtol=0.02)
    assert lengths[2] == pytest.approx(DEVIATIONS[2], rel=0.2)


def test_slope_and_intercept_predict_labels_of_truncated_images_from_w_itself(fitted: Fitted) -> None:
    tilt, opened, bent = fitted.axis_set.axes
    assert (tilt.slope, tilt.intercept) == (pytest.approx(DEVIATIONS[0], rel=0.02), pytest.approx(3.5, abs=0.01))
    assert (opened.slope, opened.intercept) == (pytest.approx(1, rel=0.02), pytest.approx(1.3, abs=0.02))
    assert bent.slope == pytest.approx(1, rel=0.1)


def test_a_step_moves_the_label_by_the_slope(fitted: Fitted) -> None:
    tilt, opened, bent = fitted.axis_set.axes
    assert tilt.effect.per_step == pytest.approx(DEVIATIONS[0], rel=0.02)
    assert opened.effect.per_step == pytest.approx(1, rel=0.02)
    assert bent.effect.per_step == pytest.approx(1, rel=0.1)
    assert (tilt.effect.raised_share, opened.effect.raised_share) == (1, 1)


def test_side_effects_and_locks_are_those_of_w(fitted: Fitted) -> None:
    tilt, opened, _ = fitted.axis_set.axes
    on_open, on_tilt = tilt.entanglement[0], opened.entanglement[0]
    assert (on_open.axis, on_open.cosine) == ("open", pytest.approx(0.6, abs=0.01))
    # A step along tilt moves w by 0.72 and its first number by 0.6 of that, whose deviation is 1.
    assert on_open.effect == pytest.approx(0.6 * DEVIATIONS[0], abs=0.01)
    # A step along open moves w by 1 and w . A by 0.6, whose deviation is 0.72.
    assert on_tilt.effect == pytest.approx(0.6 / DEVIATIONS[0], abs=0.02)
    assert (on_open.effect_locked, on_tilt.effect_locked) == (pytest.approx(0, abs=0.01), pytest.approx(0, abs=0.02))


@pytest.mark.parametrize(
    ("layer", "effects"), [(0, (DEVIATIONS[0], 1.0, 0.0)), (1, (0.0, 0.0, 1.0))], ids=["first", "second"]
)
def test_layers_change_only_what_they_feed(
    styled: Repository, fitted: Fitted, work: Path, layer: int, effects: tuple[float, ...]
) -> None:
    labelled = {path: path.stat().st_mtime_ns for path in work.glob("labels-0*.npy")}
    found = fitting.fit(world_of(styled, Region(SPACE_W, layer, layer)), PLAN, work, quietly)
    np.testing.assert_array_equal(found.directions, fitted.directions)
    assert [axis.layers for axis in found.axis_set.axes] == [LayerRange(first=layer, last=layer)] * 3
    measured = [axis.effect.per_step for axis in found.axis_set.axes]
    np.testing.assert_allclose(measured, effects, atol=0.1)
    assert all(measured[index] == 0 for index, effect in enumerate(effects) if effect == 0)
    # The same images were labelled before, and of a part of the layers the fit knows nothing.
    assert {path: path.stat().st_mtime_ns for path in labelled} == labelled
    assert not any(axis.HasField("slope") or axis.HasField("intercept") for axis in found.axis_set.axes)


def test_all_layers_by_their_numbers_are_all_layers(styled: Repository) -> None:
    assert open_generator(styled, "styled", region=Region(SPACE_W, 0, 1)).region == Region(SPACE_W)


def move_and_die(root: Path, folder: Path) -> None:
    """Fit in a process of its own and kill it in the middle of its last stage."""
    left = 30

    def track(description: str, _total: int) -> Callable[[int], None]:
        def advance(_count: int) -> None:
            nonlocal left
            left -= description == "Moving"
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

        return advance

    fitting.fit(world_of(Repository(root), Region(SPACE_W)), PLAN, folder, track)


def test_a_run_killed_while_it_moves_goes_on_and_ends_as_an_unbroken_one(
    styled: Repository, fitted: Fitted, tmp_path: Path
) -> None:
    killed = multiprocessing.get_context("spawn").Process(target=move_and_die, args=(styled.root, tmp_path))
    killed.start()
    killed.join(240)
    assert killed.exitcode == -signal.SIGKILL
    moved = {path: path.stat().st_mtime_ns for path in tmp_path.glob("labels-moved-*.npy")}
    assert len(moved) == 30
    resumed = fitting.fit(world_of(styled, Region(SPACE_W)), PLAN, tmp_path, quietly)
    assert {path: path.stat().st_mtime_ns for path in moved} == moved
    np.testing.assert_array_equal(resumed.responses.effects, fitted.responses.effects)
    np.testing.assert_array_equal(resumed.responses.locked, fitted.responses.locked)
    assert resumed.responses.own == fitted.responses.own


def test_the_set_is_written_with_its_space(fitted: Fitted, tmp_path: Path) -> None:
    described, directions = axis_set.read(axis_set.write(tmp_path, fitted.axis_set, fitted.directions))
    assert {axis.space for axis in described.axes} == {SPACE_W}
    np.testing.assert_array_equal(directions, fitted.directions)
