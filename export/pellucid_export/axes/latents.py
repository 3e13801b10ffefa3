"""Latents by seed: the same that the gateway draws for an image of that seed."""

import numpy as np
import numpy.typing as npt

from pellucid.v1.model_pb2 import PRIOR_NORMAL, PRIOR_SPHERE, LatentPrior, Prior
from pellucid_export.axes.errors import AxesError

_STREAM = 0


def draw(prior: LatentPrior, seeds: range) -> npt.NDArray[np.float32]:
    """Latents (N, D), one a seed: Generator(Philox(key=[seed, 0])).standard_normal(D, float32).

    Raises AxesError for a prior along whose directions a standard deviation is not 1.
    """
    if prior.prior not in (PRIOR_NORMAL, PRIOR_SPHERE):
        raise AxesError(f"axes cannot be fitted for {Prior.Name(prior.prior)}, only for normal and sphere priors")
    latents = np.stack([_one(seed, prior.size) for seed in seeds])
    if prior.prior == PRIOR_SPHERE:
        latents *= np.sqrt(prior.size) / np.linalg.norm(latents, axis=1, keepdims=True)
    return latents


def _one(seed: int, size: int) -> npt.NDArray[np.float32]:
    generator = np.random.Generator(np.random.Philox(key=[seed, _STREAM]))
    return generator.standard_normal(size, dtype=np.float32)
