"""Seeds to latents, and ways between latents. Pure numpy.

A seed means the same latent on every machine and in every batch: draw `stream` of an image is taken from
`numpy.random.Generator(Philox(key=[seed, stream]))`, whose bits numpy guarantees. `SAMPLER_VERSION` names the rule and
stands in every recipe.
"""

import threading
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from pellucid.v1 import image_pb2, model_pb2

SAMPLER_VERSION = 1
LATENT_STREAM = 0
CONDITIONING_STREAM = 1
NOISE_STREAM = 2
DROPOUT_STREAM = 3
STYLE_STREAM = 4

Latents = NDArray[np.float32]


def draw(seed: int, stream: int, size: int) -> Latents:
    """Draw `size` standard normals, float32, for one purpose (`stream`) of the image with `seed` (0 to 2^64 - 1)."""
    return _generators.keyed(seed, stream).standard_normal(size, dtype=np.float32)


def uniform(seed: int, stream: int, size: int) -> Latents:
    """Draw `size` numbers uniform over [0, 1), float32, by the same rule."""
    return _generators.keyed(seed, stream).random(size, dtype=np.float32)


def sample(prior: model_pb2.LatentPrior, seed: int) -> Latents:
    """Draw one latent (D,) from a model's prior.

    A truncated normal is drawn by rejection: every number outside the bound is replaced, in order of its position, by
    the next number of the same generator until all are within it (BigGAN, section 3.1).
    """
    if prior.prior == model_pb2.PRIOR_TRUNCATED_NORMAL:
        return _truncated(_generators.keyed(seed, LATENT_STREAM), prior.size, prior.truncation_bound)
    latent = draw(seed, LATENT_STREAM, prior.size)
    return _onto_sphere(latent) if prior.prior == model_pb2.PRIOR_SPHERE else latent


def sample_officially(prior: model_pb2.LatentPrior, seed: int) -> Latents:
    """Draw one latent (D,) as the family's official scripts do, from NumPy's old generator; seeds up to 2^32 - 1.

    A truncated normal is the inverse of its distribution at uniform numbers, as SciPy's `truncnorm.rvs` has it.
    """
    generator = np.random.RandomState(seed)
    if prior.official_sampler == model_pb2.OFFICIAL_SAMPLER_RANDN:
        return generator.randn(prior.size).astype(np.float32)
    normal = NormalDist()
    low, high = normal.cdf(-prior.truncation_bound), normal.cdf(prior.truncation_bound)
    quantiles = low + generator.uniform(size=prior.size) * (high - low)
    return np.array([normal.inv_cdf(quantile) for quantile in quantiles], dtype=np.float32)


def interpolate(start: Latents, end: Latents, position: float, path: "image_pb2.Path.ValueType") -> Latents:
    """Give the latent at `position` (0 at `start`, 1 at `end`) of the way between two latents (D,).

    PATH_SPHERICAL (also the default) follows the great circle between the directions and interpolates the length
    linearly (White 2016, section 2.1); opposite or zero latents have no great circle and go straight.
    """
    if path == image_pb2.PATH_LINEAR:
        return _lerp(start, end, position)
    a, b = start.astype(np.float64), end.astype(np.float64)
    length_a, length_b = np.linalg.norm(a), np.linalg.norm(b)
    if length_a == 0 or length_b == 0:
        return _lerp(start, end, position)
    cosine = np.clip((a * b).sum() / (length_a * length_b), -1.0, 1.0)
    angle = np.arccos(cosine)
    if np.sin(angle) < 1e-6:
        return _lerp(start, end, position)
    direction = (np.sin((1 - position) * angle) * a / length_a + np.sin(position * angle) * b / length_b) / np.sin(
        angle
    )
    return np.asarray(direction * ((1 - position) * length_a + position * length_b), dtype=np.float32)


class _Generators(threading.local):
    """One generator a thread, set to a new key for each draw: making one takes five times as long."""

    def __init__(self) -> None:
        self._philox = np.random.Philox(0)
        self._start = self._philox.state
        self._generator = np.random.Generator(self._philox)

    def keyed(self, seed: int, stream: int) -> np.random.Generator:
        """Give the thread's generator at the start of the key [seed, stream]; good until the next call."""
        self._start["state"]["key"] = np.array([seed, stream], dtype=np.uint64)
        self._philox.state = self._start
        return self._generator


_generators = _Generators()


def _truncated(generator: np.random.Generator, size: int, bound: float) -> Latents:
    latent = generator.standard_normal(size, dtype=np.float32)
    while (outside := np.flatnonzero(np.abs(latent) > bound)).size:
        latent[outside] = generator.standard_normal(outside.size, dtype=np.float32)
    return latent


def _lerp(start: Latents, end: Latents, position: float) -> Latents:
    return np.asarray((1 - position) * start.astype(np.float64) + position * end, dtype=np.float32)


def _onto_sphere(latent: Latents) -> Latents:
    length = np.sqrt(np.square(latent, dtype=np.float64).sum())
    return np.asarray(latent * (np.sqrt(latent.size) / length), dtype=np.float32)
