"""What the words of a caption drew on."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pellucid.v1 import image_pb2


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """How much of an image a word of its caption drew on."""

    word: str
    """As the model's vocabulary has it."""
    height: int
    width: int
    levels: bytes
    """Weights in 8 bits, row by row: 255 stands for `largest`."""
    largest: float
    """The largest weight, at most 1."""

    @classmethod
    def from_message(cls, message: image_pb2.AttentionMap) -> "AttentionMap":
        """Return the map of a message."""
        return cls(message.word, message.height, message.width, message.weights, message.largest)

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """The weights of the pixels, (H, W), read-only; exact to half of largest / 255."""
        levels = np.frombuffer(self.levels, dtype=np.uint8).reshape(self.height, self.width)
        weights = np.multiply(levels, self.largest / 255, dtype=np.float32)
        weights.flags.writeable = False
        return weights
