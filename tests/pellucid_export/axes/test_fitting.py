"""The whole fit on a world whose axes are known; see `arithmetic`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pellucid.v1.axis_pb2 import FIT_METRIC_AUC, FIT_METRIC_R2, LINK_IDENTITY, LINK_LOGIT
from pellucid.v1.latent_pb2 import SPACE_Z
from pellucid.v1.model_pb2 import PRIOR_SPHERE, PRIOR_TRUNCATED_NORMAL, LatentPrior, Model, TruncationRange
from pellucid_export.axes import fitting
from pellucid_export.axes.errors import AxesError
from pellucid_export.axes.fitting import Fitted, Plan
from pellucid_export.axes.generator import open_generator
from pellucid_export.axes.regression import Method
from pellucid_export.axes.world import World, open_extractor

from . import arithmetic

pytestmark = pytest.mark.torch

TILT, OPEN, BENT = np.array([1, 0, 0, 0]), np.array([0.6, 0.8, 0, 0]), np.array([0, 0, 1, 0])
PLAN = Plan("known", samples=5000, fresh=400, seed=7)


def quietly(_description: str, _total: int) -> Callable[[int], None]:
    return lambda count: None


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    root = tmp_path_factory.mktemp("known")
    models = arithmetic.build(root / "models")
    world = World(open_generator(models, "dots"), [open_extractor(models, "reader")])
    return fitting.fit(world, PLAN, root / "work", quietly)


def test_directions_are_the_ones_the_labels_were_made_from(fitted: Fitted) -> None:
    np.testing.assert_allclose(fitted.directions[:2], [TILT, OPEN], rtol=0, atol=5e-3)
    assert fitted.directions[2] @ BENT > 0.99


def test_intercepts_and_slopes_are_the_ones_the_labels_were_made_from(fitted: Fitted) -> None:
    tilt, opened, bent = fitted.axis_set.axes
    assert (tilt.intercept, tilt.slope) == (pytest.approx(3, abs=2e-3), pytest.approx(2, rel=2e-3))
    assert (opened.intercept, opened.slope) == (pytest.approx(1, abs=0.03), pytest.approx(2, rel=0.02))
    assert (bent.intercept, bent.slope) == (pytest.approx(0, abs=0.05), pytest.approx(1, rel=0.05))
    assert {axis.step_length for axis in fitted.axis_set.axes} == {1}


def test_held_out_figures_are_what_theory_says(fitted: Fitted) -> None:
    tilt, opened, bent = (axis.fit for axis in fitted.axis_set.axes)
    assert {fit.metric for fit in (tilt, opened, bent)} == {FIT_METRIC_R2}
    assert {fit.samples for fit in (tilt, opened, bent)} == {1000}
    assert tilt.value > 0.999
    assert opened.value > 0.99
    assert bent.low < 0.5 < bent.high
    assert bent.high - bent.low < 0.2
    assert bent.low < bent.value < bent.high


def test_effects_are_the_slopes_and_moving_up_raises_every_label(fitted: Fitted) -> None:
    tilt, opened, bent = (axis.effect for axis in fitted.axis_set.axes)
    assert tilt.per_step == pytest.approx(2, rel=5e-3)
    assert opened.per_step == pytest.approx(2, rel=0.02)
    assert bent.per_step == pytest.approx(1, rel=0.05)
    assert tilt.standard_error < 0.01
    assert {tilt.raised_share, opened.raised_share} == {1.0}
    assert {effect.samples for effect in (tilt, opened, bent)} == {400}


def test_the_linear_range_ends_where_pixels_or_log_odds_do(fitted: Fitted) -> None:
    tilt, opened, _ = fitted.axis_set.axes
    # Red ends at 255, 5.1 steps from the middle; log odds, 1 in the mean, end at 8 and grow by 2 a step.
    assert tilt.linear_range_steps == 6
    assert opened.linear_range_steps == 4
    assert {axis.hard_limit_steps for axis in fitted.axis_set.axes} == {8}


def test_entanglement_is_the_cosine_and_a_lock_takes_it_away(fitted: Fitted) -> None:
    (on_open, on_bent) = fitted.axis_set.axes[0].entanglement
    assert (on_open.axis, on_bent.axis) == ("open", "bent")
    assert on_open.cosine == pytest.approx(0.6, abs=5e-3)
    # One step of tilt moves the log odds by 1.2, and their standard deviation is 2.
    assert on_open.effect == pytest.approx(0.6, abs=0.01)
    assert on_open.effect_locked == pytest.approx(0, abs=0.01)
    assert (on_bent.effect, on_bent.effect_locked) == (pytest.approx(0, abs=0.02), pytest.approx(0, abs=0.02))


def test_every_axis_says_what_it_is(fitted: Fitted) -> None:
    tilt, opened, _ = fitted.axis_set.axes
    assert (tilt.name, tilt.display_name, tilt.quantity, tilt.unit) == ("tilt", "Tilt", "tilt", "degrees")
    assert (tilt.link, opened.link) == (LINK_IDENTITY, LINK_LOGIT)
    assert (tilt.space, tilt.samples, tilt.origin) == (SPACE_Z, 4000, "fitted")
    assert (tilt.extractor, tilt.weights_digest) == ("models/reader#tilt", arithmetic.WEIGHTS)
    assert fitted.axis_set.weights_digest == arithmetic.WEIGHTS


def test_logistic_regression_of_whether_a_probability_is_high_finds_the_same_axis(tmp_path: Path) -> None:
    models = arithmetic.build(tmp_path / "models")
    extractor = open_extractor(models, "reader")
    only = extractor.card.labels[1]
    del extractor.card.labels[:]
    extractor.card.labels.append(only)
    run = extractor.runner
    opened = type(extractor)("reader", extractor.card, "", lambda inputs: {"labels": run(inputs)["labels"][:, 1:2]})
    world = World(open_generator(models, "dots"), [opened])
    plan = Plan("hard", samples=3000, fresh=50, method=Method.LOGISTIC)
    found = fitting.fit(world, plan, tmp_path / "work", quietly)
    assert found.directions[0] @ OPEN > 0.999
    assert (found.axis_set.axes[0].fit.metric, found.axis_set.axes[0].link) == (FIT_METRIC_AUC, LINK_LOGIT)
    assert found.axis_set.axes[0].fit.value > 0.999


def test_progress_reaches_its_totals(world: World, tmp_path: Path) -> None:
    done: dict[str, list[int]] = {}
    totals: dict[str, int] = {}

    def track(description: str, total: int) -> Callable[[int], None]:
        totals[description] = total
        return done.setdefault(description, []).append

    fitting.fit(world, Plan("p", samples=100, fresh=9), tmp_path, track)
    assert {name: sum(counts) for name, counts in done.items()} == totals


def test_effects_are_measured_on_latents_the_fit_has_not_seen() -> None:
    assert set(fitting.fresh_seeds(PLAN)).isdisjoint(range(7, 5007))
    assert len(fitting.fresh_seeds(PLAN)) == 400


def test_too_few_samples_are_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(AxesError, match="7 samples and 400 fresh ones; at least 8 and 2 are needed"):
        fitting.fit(world, Plan("few", samples=7, fresh=400), tmp_path, quietly)


def test_a_name_that_the_api_cannot_have_is_refused_before_anything_is_sampled(world: World, tmp_path: Path) -> None:
    with pytest.raises(AxesError, match="'my set' is no name"):
        fitting.fit(world, Plan("my set"), tmp_path / "work", quietly)
    assert not (tmp_path / "work").exists()


NARROW = LatentPrior(prior=PRIOR_TRUNCATED_NORMAL, truncation_bound=1)
HALVED = TruncationRange(min=0, max=1, default_value=0.5, scales_prior=True)


@pytest.mark.parametrize(
    ("also", "deviation"),
    [
        # The variance of a normal cut off at +-1 is 1 - 2 phi(1) / (2 Phi(1) - 1).
        (Model(latent=NARROW), 0.53956),
        (Model(latent=NARROW, truncation=HALVED), 0.26978),
        (Model(truncation=HALVED), 0.5),
        (Model(latent=LatentPrior(prior=PRIOR_SPHERE)), 1.0),
    ],
    ids=["truncated normal", "scaled truncated normal", "scaled normal", "sphere"],
)
def test_a_step_is_one_standard_deviation_of_any_prior(tmp_path: Path, also: Model, deviation: float) -> None:
    models = arithmetic.build(tmp_path / "models", also)
    world = World(open_generator(models, "dots"), [open_extractor(models, "reader")])
    found = fitting.fit(world, Plan("prior", samples=3000, fresh=50), tmp_path / "work", quietly)
    tilt, opened, _ = found.axis_set.axes
    assert found.directions[0] @ TILT > 0.999
    assert (tilt.step_length, opened.step_length) == (pytest.approx(deviation, rel=0.03),) * 2
    assert (tilt.slope, tilt.intercept) == (pytest.approx(2 * tilt.step_length, rel=0.01), pytest.approx(3, abs=0.01))
    assert tilt.effect.per_step == pytest.approx(2 * tilt.step_length, rel=0.02)
    (on_open, _) = tilt.entanglement
    # In its own deviations a step moves the other label as in any prior: by the cosine.
    assert (on_open.effect, on_open.effect_locked) == (pytest.approx(0.6, abs=0.03), pytest.approx(0, abs=0.03))
