"""Where axes lie: the space, of W the layers that they move, and how the points of images lie there."""

import re
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from pellucid.v1.latent_pb2 import SPACE_W, SPACE_Z, LayerRange, Space
from pellucid_export.axes.errors import AxesError

_SPACES = {"z": SPACE_Z, "w": SPACE_W}
_TENSORS = {SPACE_Z: "latent", SPACE_W: "style"}


class Scatter(Enum):
    """How the points of images lie in a space."""

    STANDARD = "standard"
    """Independent standard normals: their deviation is 1 along any direction."""
    EVEN = "even"
    """Alike along all directions, with a deviation that is to be measured."""
    UNEVEN = "uneven"
    """As a mapping network leaves them: some directions vary a hundred times as much as others."""


@dataclass(frozen=True)
class Region:
    """A space in which axes move; in W all layers, or those from `first` to `last`, both included, from 0."""

    space: "Space.ValueType" = SPACE_Z
    first: int | None = None
    last: int | None = None

    @property
    def tensor(self) -> str:
        """The tensor that holds the points of the space."""
        return _TENSORS[self.space]

    @property
    def layers(self) -> LayerRange | None:
        """The layers that move; None where all do."""
        return None if self.first is None or self.last is None else LayerRange(first=self.first, last=self.last)

    def moved(self, points: npt.NDArray[np.generic], by: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Latents (N, D) or styles (N, L, D) moved by displacements (N, D)."""
        changed = np.array(points, np.float64)
        if self.space == SPACE_Z:
            changed += by
        else:
            changed[:, self.first : None if self.last is None else self.last + 1] += by[:, None]
        return changed.astype(np.float32)


def parse(name: str) -> "Space.ValueType":
    """The space called z or w. Raises AxesError."""
    if name not in _SPACES:
        raise AxesError(f"space must be {' or '.join(_SPACES)}, not '{name}'")
    return _SPACES[name]


def region(space: str, layers: str = "") -> Region:
    """The region of a space's name and layers "a-b", by default all. Raises AxesError."""
    if not layers:
        return Region(parse(space))
    found = re.fullmatch(r"(\d+)-(\d+)", layers)
    if parse(space) != SPACE_W or found is None or int(found[1]) > int(found[2]):
        raise AxesError(f"layers must be FIRST-LAST, from 0, of space w, not '{layers}' of {space}")
    return Region(SPACE_W, int(found[1]), int(found[2]))
