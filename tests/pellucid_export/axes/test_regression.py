import numpy as np
import pytest

from pellucid.v1.axis_pb2 import LINK_IDENTITY, LINK_LOGIT, LINK_TANH
from pellucid.v1.model_pb2 import LABEL_KIND_PROBABILITY, LABEL_KIND_QUANTITY, Label
from pellucid_export.axes import regression, tlgan
from pellucid_export.axes.errors import AxesError
from pellucid_export.axes.links import predictor
from pellucid_export.axes.regression import Method
from pellucid_export.axes.spaces import Scatter

pytestmark = pytest.mark.torch

LATENTS = np.random.default_rng(0).standard_normal((2000, 5)).astype(np.float32)
DIRECTION = np.array([2.0, -1.0, 0.0, 0.0, 2.0]) / 3
COORDINATE = LATENTS @ DIRECTION
QUANTITY, PROBABILITY = Label(name="q", kind=LABEL_KIND_QUANTITY), Label(name="p", kind=LABEL_KIND_PROBABILITY)


def test_a_quantity_of_any_unit_is_fitted_as_it_is() -> None:
    found = regression.fit(LATENTS, 1e6 + 250 * COORDINATE, QUANTITY)
    np.testing.assert_allclose(found.direction, DIRECTION, atol=1e-9)
    assert (found.intercept, found.slope) == (pytest.approx(1e6), pytest.approx(250))
    assert (found.link, found.samples, found.fit.samples) == (LINK_IDENTITY, 1600, 400)


def test_a_probability_is_fitted_in_log_odds() -> None:
    found = regression.fit(LATENTS, 1 / (1 + np.exp(-(0.5 + 1.5 * COORDINATE))), PROBABILITY)
    np.testing.assert_allclose(found.direction, DIRECTION, atol=1e-9)
    assert (found.intercept, found.slope, found.link) == (pytest.approx(0.5), pytest.approx(1.5), LINK_LOGIT)


def test_the_tanh_method_finds_tl_gans_direction() -> None:
    noise = np.random.default_rng(1).standard_normal(len(LATENTS))
    labels = np.tanh(0.3 + 2 * COORDINATE + noise)
    found = regression.fit(LATENTS, labels, QUANTITY, Method.TANH)
    fitted_on = np.arange(len(LATENTS)) % 5 != 4
    official = tlgan.normalise(tlgan.regress(LATENTS[fitted_on], labels[fitted_on, None]))[:, 0]
    np.testing.assert_allclose(found.direction, official, atol=1e-6)
    assert found.link == LINK_TANH


def test_noise_alone_has_no_fit() -> None:
    found = regression.fit(LATENTS, np.random.default_rng(2).standard_normal(len(LATENTS)), QUANTITY)
    assert found.fit.low < 0 < found.fit.high + 0.02
    assert found.fit.value < 0.02


@pytest.mark.parametrize(
    ("labels", "label", "method", "message"),
    [
        (np.full(2000, 3.0), QUANTITY, Method.AUTO, "'q' does not vary over 2000 samples"),
        (np.full(2000, np.nan), QUANTITY, Method.AUTO, "or is not finite"),
        (3 * COORDINATE, QUANTITY, Method.TANH, r"needs labels in \[-1, 1\]; 'q' reaches"),
        (COORDINATE, QUANTITY, Method.LOGISTIC, "'q' is a quantity"),
        (0.2 + 0.01 * np.tanh(COORDINATE), PROBABILITY, Method.LOGISTIC, "on one side of 0.5 in all 1600 samples"),
    ],
)
def test_labels_that_do_not_suit_are_refused_by_name(
    labels: regression.Values, label: Label, method: Method, message: str
) -> None:
    with pytest.raises(AxesError, match=message):
        regression.fit(LATENTS, labels, label, method)


def test_hard_labels_are_fitted_by_logistic_regression() -> None:
    found = regression.fit(LATENTS, (COORDINATE > 0.4).astype(float), QUANTITY, Method.LOGISTIC)
    assert found.direction @ DIRECTION > 0.999
    assert found.fit.value > 0.999


def test_saturated_probabilities_count_as_log_odds_of_eight() -> None:
    np.testing.assert_allclose(predictor([0.0, 0.5, 1.0], LINK_LOGIT), [-8, 0, 8], atol=1e-9)
    np.testing.assert_allclose(predictor([-1.0, 1.0], LINK_TANH), [-3, 3], atol=1e-9)


def uneven(noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Points whose deviations are 1, 0.3, ... 0.001, and labels that depend on the first two numbers."""
    draw = np.random.default_rng(3)
    deviations = 10.0 ** -np.linspace(0, 3, 40)
    points = (draw.standard_normal((3000, 40)) * deviations + 5).astype(np.float32)
    return points, points @ np.eye(2, 40).sum(axis=0) + noise * draw.standard_normal(3000)


@pytest.mark.parametrize("scatter", [Scatter.EVEN, Scatter.UNEVEN])
def test_a_step_is_the_measured_deviation_and_the_slope_is_of_a_step(scatter: Scatter) -> None:
    points = 0.25 * LATENTS + 7
    found = regression.fit(points, 5 + 8 * (points @ DIRECTION), QUANTITY, scatter=scatter)
    np.testing.assert_allclose(found.direction, DIRECTION, atol=1e-5)
    assert found.step_length == pytest.approx(0.25, rel=0.04)
    assert found.slope == pytest.approx(8 * found.step_length, rel=1e-5)
    assert found.intercept == pytest.approx(5, abs=1e-3)
    np.testing.assert_allclose(found.step, found.step_length * found.direction)


def test_without_noise_points_that_lie_unevenly_give_the_slopes_themselves() -> None:
    points, labels = uneven(0.0)
    found = regression.fit(points, labels, QUANTITY, scatter=Scatter.UNEVEN)
    assert found.direction[:2].sum() / 2**0.5 > 0.999
    assert found.fit.value > 0.9999


def test_what_hardly_varies_does_not_take_over_an_axis_in_w() -> None:
    points, labels = uneven(0.5)
    hard = (labels > np.median(labels)).astype(float)
    as_in_z = regression.fit(points, labels, QUANTITY, scatter=Scatter.EVEN)
    assert as_in_z.direction[:2].sum() / 2**0.5 < 0.3
    for values, method in ((labels, Method.AUTO), (hard, Method.LOGISTIC)):
        in_w = regression.fit(points, values, QUANTITY, method, Scatter.UNEVEN)
        assert in_w.direction[:2].sum() / 2**0.5 > 0.9


def test_the_odds_of_a_hard_label_in_w_are_those_of_its_logistic_model() -> None:
    points = (0.1 * LATENTS + 2).astype(np.float32)
    coordinate = points @ DIRECTION
    chance = 1 / (1 + np.exp(-(0.4 + 15 * (coordinate - coordinate.mean()))))
    labels = (np.random.default_rng(4).random(len(points)) < chance).astype(float)
    found = regression.fit(points, labels, QUANTITY, Method.LOGISTIC, Scatter.UNEVEN)
    assert found.direction @ DIRECTION > 0.97
    assert found.slope == pytest.approx(1.5, rel=0.15)
    middle = points.mean(axis=0) @ found.direction / found.step_length
    assert found.intercept + found.slope * middle == pytest.approx(0.4, abs=0.15)
