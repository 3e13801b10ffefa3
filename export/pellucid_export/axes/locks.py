"""Edits along an axis while others are locked: the least displacement that meets the constraints."""

import numpy as np
import numpy.typing as npt

from pellucid_export.axes.errors import AxesError

Vectors = npt.NDArray[np.float64]

# What a locked axis leaves of another; below this share of its length they are the same axis.
_SMALLEST_REST = 1e-6


def unlocked(direction: Vectors, locked: Vectors) -> Vectors:
    """The part (D,) of a direction (D,) that is orthogonal to all locked directions (L, D), not rescaled."""
    if len(locked) == 0:
        return direction
    # The row space by SVD: locked directions need be neither unit nor independent.
    _, scale, basis = np.linalg.svd(np.asarray(locked, np.float64), full_matrices=False)
    span = basis[scale > scale[0] * _SMALLEST_REST]
    rest: Vectors = direction - span.T @ (span @ direction)
    return rest


def step(direction: Vectors, locked: Vectors) -> Vectors:
    """The least-norm dz (D,) with direction . dz = 1 and l . dz = 0 for every locked l, for a unit direction.

    Raises AxesError where the locked axes leave nothing of the direction.
    """
    rest = unlocked(direction, locked)
    left = float(rest @ rest)
    if left < _SMALLEST_REST**2:
        raise AxesError("the locked axes leave nothing of the axis to move along")
    moved: Vectors = rest / left
    return moved
