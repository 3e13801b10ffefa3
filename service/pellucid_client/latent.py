"""Points in a latent space."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pellucid.v1 import latent_pb2
from pellucid_client.choices import known

SpaceName = Literal["z", "w", "w+"]

SPACES: dict[SpaceName, latent_pb2.Space.ValueType] = {
    "z": latent_pb2.SPACE_Z,
    "w": latent_pb2.SPACE_W,
    "w+": latent_pb2.SPACE_W_PLUS,
}


@dataclass(frozen=True, eq=False)
class Latent:
    """A latent with its space: `Latent(z)`, `Latent(w, "w")`, `Latent(styles, "w+")`.

    `values` is float32 of any shape and is sent row by row; what comes back is flat: (size,), or
    (layers * size,) in "w+", which `styles` puts back into rows.
    """

    values: NDArray[np.float32]
    space: SpaceName = "z"

    def styles(self, layers: int) -> NDArray[np.float32]:
        """Return the style of each layer, (layers, size); in "w" they are all the same.

        Raises ValueError in "z", which is before the mapping, and where the values are no such rows.
        """
        if self.space == "z":
            raise ValueError('a latent in "z" has no styles: the model\'s mapping makes them')
        values = np.asarray(self.values, dtype=np.float32)
        return np.tile(values.ravel(), (layers, 1)) if self.space == "w" else values.reshape(layers, -1)

    def message(self) -> latent_pb2.Latent:
        """Return the latent as the contract's message."""
        values = np.asarray(self.values, dtype=np.float32).ravel()
        return latent_pb2.Latent(space=known("space", self.space, SPACES), values=values.tolist())

    @classmethod
    def from_message(cls, message: latent_pb2.Latent) -> "Latent":
        """Return the latent of a message; an unspecified space is "z"."""
        names = {number: name for name, number in SPACES.items()}
        return cls(np.array(message.values, dtype=np.float32), names.get(message.space, "z"))
