"""TL-GAN's own arithmetic, reproduced: regression, disentangling and the session of clicks in its two interfaces.

Source: SummitKwan/transparent_latent_gan, commit da7ae90, src/tl_gan/feature_axis.py and the interface scripts.
Axes are the columns of a matrix (D, K), as there. The gateway edits by constraints instead (`locks`); this module
exists so that results of the original can be had and compared.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from pellucid_export.axes.errors import AxesError

Matrix = npt.NDArray[np.float64]
Method = Literal["linear", "tanh"]

CLICK = 0.4
_LARGEST_ARCTANH = 3.0


def regress(latents: npt.ArrayLike, labels: npt.ArrayLike, method: Method = "tanh") -> Matrix:
    """Slopes (D, K) of a least-squares fit with intercept of labels (N, K) on latents (N, D).

    "tanh" takes labels in [-1, 1] and fits their arctanh, limited to +-3. Raises AxesError for another method.
    """
    from sklearn.linear_model import LinearRegression

    if method not in ("linear", "tanh"):
        raise AxesError(f"method must be linear or tanh, not '{method}'")
    target = np.asarray(labels)
    if method == "tanh":
        bound = np.tanh(_LARGEST_ARCTANH)
        target = np.arctanh(np.clip(target, -bound, bound))
    slopes: Matrix = np.asarray(LinearRegression().fit(np.asarray(latents), target).coef_, np.float64).T
    return slopes


def normalise(axes: Matrix) -> Matrix:
    """Every column scaled to length 1."""
    scaled: Matrix = axes / np.linalg.norm(axes, axis=0)
    return scaled


def disentangle(
    axes: Matrix, locked: Sequence[int], targets: Sequence[int] | None = None, *, unit: bool = True
) -> Matrix:
    """Take the locked axes' directions out of the target axes, by default all that are not locked.

    The locked axes are made orthogonal among themselves in the given order (modified Gram-Schmidt) and are
    returned so, which moves every locked axis but the first. Axes that are neither locked nor targets stay as they
    are. With `unit` all columns are then scaled to length 1.
    """
    changed = np.array(axes, np.float64)
    base: list[Matrix] = []
    for index in locked:
        base.append(_without(changed[:, index], base))
        changed[:, index] = base[-1]
    if locked:
        others = range(axes.shape[1]) if targets is None else targets
        for index in (other for other in others if other not in locked):
            changed[:, index] = _without(changed[:, index], base)
    return normalise(changed) if unit else changed


def _without(vector: Matrix, base: Sequence[Matrix]) -> Matrix:
    for other in base:
        vector = vector - (vector @ other) / (other @ other) * other
    return vector


class ClickSession:
    """A latent edited by clicks, as in TL-GAN's Tk and notebook interfaces.

    `directions` (D, K) are the original ones. Each change of a lock starts from them again, with the locked features
    in ascending order, whatever the order of the clicks was. The latent is neither clipped nor normalised.
    """

    def __init__(self, latent: Matrix, directions: Matrix, step: float = CLICK) -> None:
        self.latent = np.array(latent, np.float64)
        self.locked: frozenset[int] = frozenset()
        self._directions = directions
        self._step = step
        self._axes = disentangle(directions, [])

    def move(self, feature: int, sign: int) -> Matrix:
        """Click + (sign 1) or - (sign -1) of a feature; the new latent."""
        self.latent = self.latent + sign * self._step * self._axes[:, feature]
        return self.latent

    def toggle_lock(self, feature: int) -> None:
        """Click the lock of a feature."""
        self.locked = self.locked ^ {feature}
        self._axes = disentangle(self._directions, sorted(self.locked))
