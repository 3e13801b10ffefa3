"""Resampling an image as two small matrices, one for its rows and one for its columns.

A crop with a change of size is `rows @ image @ columns.T`: exact, the same in every runtime, and part of any graph.
"""

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]


def matrix(source: int, size: int, start: float, end: float) -> Matrix:
    """The matrix (size, source) that takes `source` pixels to `size` pixels covering [start, end].

    An end before the start mirrors. Pixel i of the source covers [i, i + 1]; beyond the border its last pixel is
    repeated. Interpolation is linear, with a triangle as wide as a target pixel where that is the larger one (no
    aliasing). Every row sums to 1.
    """
    scale = (end - start) / size
    support = max(abs(scale), 1.0)
    centres = start + (np.arange(size) + 0.5) * scale - 0.5
    first = np.ceil(centres - support).astype(int)
    taps = first[:, None] + np.arange(int(np.ceil(2 * support)) + 1)  # (size, taps)
    weights = np.maximum(0.0, 1.0 - np.abs(taps - centres[:, None]) / support)
    weights /= weights.sum(axis=1, keepdims=True)
    resampled = np.zeros((size, source))
    np.add.at(resampled, (np.arange(size)[:, None], np.clip(taps, 0, source - 1)), weights)
    return resampled.astype(np.float32)
