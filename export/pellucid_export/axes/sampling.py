"""Labelled points of the space that axes are looked for in, drawn by seed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from pellucid_export.axes.ledger import CHUNK, Ledger
from pellucid_export.axes.world import World


@dataclass(frozen=True)
class Samples:
    """Points (N, D) and the labels (N, K) of their images."""

    points: npt.NDArray[np.float32]
    labels: npt.NDArray[np.float64]


def sample(world: World, seed: int, count: int, ledger: Ledger, advance: Callable[[int], None]) -> Samples:
    """Label the images of `count` seeds, `seed`, `seed` + 1, ..., in chunks that the ledger keeps.

    `advance` is told the number of samples done since it was last called.
    """
    points, labels = [], []
    for first in range(0, count, CHUNK):
        seeds = range(seed + first, seed + min(first + CHUNK, count))
        points.append(world.generator.points(seeds))
        labels.append(ledger.labels(f"{first:09d}-{len(seeds)}", partial(world.labels, seeds)))
        advance(len(seeds))
    return Samples(np.concatenate(points), np.concatenate(labels))
