"""Latents by seed: the same that the gateway draws for an image of that seed."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pellucid.v1.model_pb2 import PRIOR_NORMAL, PRIOR_SPHERE, PRIOR_TRUNCATED_NORMAL, LatentPrior, Prior
from pellucid_export.axes.errors import AxesError

Latents = npt.NDArray[np.float32]

_STREAM = 0
_KNOWN = (PRIOR_NORMAL, PRIOR_TRUNCATED_NORMAL, PRIOR_SPHERE)


def stream(seed: int, number: int) -> np.random.Generator:
    """What an image of this seed draws from for one purpose: 0 its latent, 1 its conditioning noise, 5 its class."""
    return np.random.Generator(np.random.Philox(key=[seed, number]))


def draw(prior: LatentPrior, seeds: Sequence[int], scale: float = 1.0) -> Latents:
    """Latents (N, D), one a seed; `scale` is the truncation of a generator that scales its prior.

    A truncated normal is drawn by rejection: numbers beyond the bound are replaced, in order, by the next ones of the
    same stream until none is. Raises AxesError for a prior that is not known.
    """
    if prior.prior not in _KNOWN:
        raise AxesError(f"latents of {Prior.Name(prior.prior)} cannot be drawn")
    return np.stack([_one(prior, seed) for seed in seeds]) * np.float32(scale)


def _one(prior: LatentPrior, seed: int) -> Latents:
    generator = stream(seed, _STREAM)
    latent = generator.standard_normal(prior.size, dtype=np.float32)
    if prior.prior == PRIOR_TRUNCATED_NORMAL:
        while (outside := np.flatnonzero(np.abs(latent) > prior.truncation_bound)).size:
            latent[outside] = generator.standard_normal(outside.size, dtype=np.float32)
    if prior.prior == PRIOR_SPHERE:
        length = np.sqrt(np.square(latent, dtype=np.float64).sum())
        latent = np.asarray(latent * (np.sqrt(prior.size) / length), np.float32)
    return latent
