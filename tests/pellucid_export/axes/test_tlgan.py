import json

import numpy as np
import pytest

from pellucid_export.axes import tlgan
from pellucid_export.axes.errors import AxesError

from .golden import TLGAN

pytestmark = pytest.mark.torch

CASE = np.load(TLGAN / "case_small" / "io.npz")
SESSION = json.loads((TLGAN / "case_small" / "case.json").read_text())
ATOL = 1e-9


@pytest.mark.parametrize("method", ["linear", "tanh"])
def test_regression_gives_the_official_slopes(method: tlgan.Method) -> None:
    slopes = tlgan.regress(CASE["z64"], CASE["y"], method)
    np.testing.assert_allclose(slopes, CASE[f"slope_{method}_64"], rtol=0, atol=ATOL)


def test_directions_are_the_official_unit_columns_of_the_tanh_slopes() -> None:
    directions = tlgan.normalise(tlgan.regress(CASE["z64"], CASE["y"]))
    np.testing.assert_allclose(directions, CASE["direction_64"], rtol=0, atol=ATOL)


def test_another_regression_method_is_refused_by_name() -> None:
    with pytest.raises(AxesError, match="not 'cubic'"):
        tlgan.regress(CASE["z64"], CASE["y"], "cubic")


@pytest.mark.parametrize(
    ("result", "locked"),
    [
        ("locked_none_64", []),
        ("locked_0_64", [0]),
        ("locked_1_3_64", [1, 3]),
        ("locked_0_1_2_64", [0, 1, 2]),
        ("locked_1_4_7_64", [1, 4, 7]),
        ("locked_3_1_order_64", [3, 1]),
    ],
)
def test_locks_give_the_official_axes(result: str, locked: list[int]) -> None:
    np.testing.assert_allclose(tlgan.disentangle(CASE["direction_64"], locked), CASE[result], rtol=0, atol=ATOL)


def test_only_the_targets_change_where_targets_are_given() -> None:
    changed = tlgan.disentangle(CASE["direction_64"], [1], [5, 6])
    np.testing.assert_allclose(changed, CASE["locked_1_target_5_6_64"], rtol=0, atol=ATOL)


def test_without_normalisation_lengths_are_the_official_ones() -> None:
    changed = tlgan.disentangle(CASE["slope_tanh_64"], [1, 4], unit=False)
    np.testing.assert_allclose(changed, CASE["locked_1_4_unnormalised_64"], rtol=0, atol=ATOL)


def test_locking_two_axes_moves_the_second_and_keeps_the_first() -> None:
    directions = CASE["direction_64"]
    changed = tlgan.disentangle(directions, [3, 1])
    np.testing.assert_allclose(changed[:, 3], directions[:, 3], rtol=0, atol=ATOL)
    assert abs(changed[:, 1] @ directions[:, 3]) < 1e-12
    assert np.abs(changed[:, 1] - directions[:, 1]).max() > 1e-3


def test_a_session_of_clicks_visits_the_official_latents() -> None:
    expected = CASE["session_latents_64"]
    session = tlgan.ClickSession(expected[0], CASE["direction_64"], SESSION["config"]["step"])
    visited = [session.latent]
    for action, *arguments in SESSION["session"]:
        getattr(session, {"move": "move", "lock": "toggle_lock"}[action])(*arguments)
        visited.append(session.latent)
    np.testing.assert_allclose(visited, expected, rtol=0, atol=ATOL)


def test_locking_in_the_published_layout_gives_the_official_axes_with_the_interfaces_signs() -> None:
    published = np.load(TLGAN / "feature_direction_synthetic_io.npz")
    names = list(published["names"])
    signed = published["direction"] * published["feature_reverse"]
    locked = tlgan.disentangle(signed, [names.index("Male"), names.index("Young")])
    np.testing.assert_allclose(locked, published["locked_Male_Young"], rtol=0, atol=1e-7)
