"""Edits along an axis while others are locked: the least displacement that meets the constraints, as in the gateway.

Least is meant in the space that the axes lie in, also in W, where a length does not mean the same in every direction.
"""

import numpy as np
import numpy.typing as npt

from pellucid_export.axes.errors import AxesError

Vectors = npt.NDArray[np.float64]

SMALLEST_REMAINDER = 0.05
"""What locks must leave of an axis, as a share of its unit length; the gateway refuses to move one that has less."""

# Locked directions of which one is left less than this by the others depend on each other.
_DEPENDENT = 1e-9


def unlocked(direction: Vectors, locked: Vectors) -> Vectors:
    """The part (D,) of a direction (D,) that is orthogonal to all locked directions (L, D), not rescaled."""
    if len(locked) == 0:
        return direction
    # The row space by SVD: locked directions need be neither unit nor independent.
    _, scale, basis = np.linalg.svd(np.asarray(locked, np.float64), full_matrices=False)
    span = basis[scale > scale[0] * _DEPENDENT]
    rest: Vectors = direction - span.T @ (span @ direction)
    return rest


def step(direction: Vectors, locked: Vectors) -> Vectors:
    """The least-norm dz (D,) with direction . dz = 1 and l . dz = 0 for every locked l, for a unit direction.

    Raises AxesError where the locked axes leave less than SMALLEST_REMAINDER of the direction.
    """
    rest = unlocked(direction, locked)
    left = float(rest @ rest)
    if left < SMALLEST_REMAINDER**2:
        raise AxesError(f"the locked axes leave {left**0.5:.3f} of the axis; at least {SMALLEST_REMAINDER} is needed")
    moved: Vectors = rest / left
    return moved
