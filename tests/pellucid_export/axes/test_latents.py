import numpy as np
import pytest

from pellucid.v1.model_pb2 import PRIOR_NORMAL, PRIOR_SPHERE, PRIOR_TRUNCATED_NORMAL, LatentPrior
from pellucid_export.axes import latents
from pellucid_export.axes.errors import AxesError
from pellucid_gateway import latents as served

pytestmark = pytest.mark.torch

PRIORS = (
    LatentPrior(size=5, prior=PRIOR_NORMAL),
    LatentPrior(size=5, prior=PRIOR_TRUNCATED_NORMAL, truncation_bound=0.5),
    LatentPrior(size=5, prior=PRIOR_SPHERE),
)


@pytest.mark.parametrize("prior", PRIORS, ids=lambda prior: f"prior{prior.prior}")
def test_a_seeds_latent_is_the_one_that_is_served(prior: LatentPrior) -> None:
    drawn = latents.draw(prior, range(7, 57))
    np.testing.assert_array_equal(drawn, np.stack([served.sample(prior, seed) for seed in range(7, 57)]))


def test_truncated_latents_are_within_the_bound_and_spheres_of_its_length() -> None:
    _, truncated, sphere = (latents.draw(prior, range(50)) for prior in PRIORS)
    assert 0.45 < np.abs(truncated).max() <= 0.5
    np.testing.assert_allclose(np.linalg.norm(sphere, axis=1), 5**0.5, rtol=1e-6)


def test_a_generator_that_scales_its_prior_gets_scaled_latents() -> None:
    np.testing.assert_allclose(
        latents.draw(PRIORS[1], range(9), 0.4), latents.draw(PRIORS[1], range(9)) * 0.4, rtol=1e-6
    )


def test_a_prior_that_nobody_knows_is_refused() -> None:
    with pytest.raises(AxesError, match="PRIOR_UNSPECIFIED cannot be drawn"):
        latents.draw(LatentPrior(size=5), range(1))
