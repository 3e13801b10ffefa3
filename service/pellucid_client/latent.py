"""Points in a latent space."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pellucid.v1 import latent_pb2

SpaceName = Literal["z", "w", "w+"]

_SPACES: dict[SpaceName, latent_pb2.Space.ValueType] = {
    "z": latent_pb2.SPACE_Z,
    "w": latent_pb2.SPACE_W,
    "w+": latent_pb2.SPACE_W_PLUS,
}


@dataclass(frozen=True, eq=False)
class Latent:
    """A latent with its space.

    `values` is float32 of any shape and is sent row by row; what comes back is flat: (size,), or
    (layers * size,) in "w+".
    """

    values: NDArray[np.float32]
    space: SpaceName = "z"

    def message(self) -> latent_pb2.Latent:
        """Return the latent as the contract's message."""
        values = np.asarray(self.values, dtype=np.float32).ravel()
        return latent_pb2.Latent(space=_SPACES[self.space], values=values.tolist())

    @classmethod
    def from_message(cls, message: latent_pb2.Latent) -> "Latent":
        """Return the latent of a message; an unspecified space is "z"."""
        names = {number: name for name, number in _SPACES.items()}
        return cls(np.array(message.values, dtype=np.float32), names.get(message.space, "z"))
