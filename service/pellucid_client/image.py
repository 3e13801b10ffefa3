"""Images as they come back."""

import io
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from pellucid.v1 import image_pb2
from pellucid_client.latent import Latent

FormatName = Literal["jpeg", "png", "webp", "raw"]

FORMATS: dict[FormatName, image_pb2.ImageFormat.ValueType] = {
    "jpeg": image_pb2.IMAGE_FORMAT_JPEG,
    "png": image_pb2.IMAGE_FORMAT_PNG,
    "webp": image_pb2.IMAGE_FORMAT_WEBP,
    "raw": image_pb2.IMAGE_FORMAT_RAW,
}

_NAMES = {number: name for name, number in FORMATS.items()}
_SUFFIXES: dict[str, FormatName] = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp"}


@dataclass(frozen=True, eq=False)
class Image:
    """An image with the recipe that makes it again; pixels are decoded when they are first asked for."""

    index: int
    """Position in the response or stream, from 0."""
    format: FormatName
    height: int
    """In pixels, as `width`."""
    width: int
    data: bytes
    """The encoded image; for "raw" height * width * 3 bytes, RGB, row by row."""
    recipe: image_pb2.Recipe
    latent: Latent | None = None
    """Only where `include_latent` asked for it."""
    axis_moves: tuple[image_pb2.AxisMove, ...] = ()
    """What happened to each axis that was moved."""
    warnings: tuple[str, ...] = ()

    @classmethod
    def from_message(cls, message: image_pb2.Image, index: int) -> "Image":
        """Return the image of a whole message, at a position of its own."""
        return cls(
            index=index,
            format=_NAMES.get(message.format, "jpeg"),
            height=message.height,
            width=message.width,
            data=message.data,
            recipe=message.recipe,
            latent=Latent.from_message(message.latent) if message.HasField("latent") else None,
            axis_moves=tuple(message.axis_moves),
            warnings=tuple(message.warnings),
        )

    @property
    def model(self) -> str:
        """The model that made it, `models/{model}`."""
        return self.recipe.model

    @property
    def seed(self) -> int | None:
        """The seed it started from; None where it started from a latent or an interpolation."""
        return self.recipe.seed if self.recipe.WhichOneof("origin") == "seed" else None

    @cached_property
    def _pixels(self) -> NDArray[np.uint8]:
        if self.format == "raw":
            return np.frombuffer(self.data, dtype=np.uint8).reshape(self.height, self.width, 3)
        with PIL.Image.open(io.BytesIO(self.data)) as encoded:
            pixels = np.asarray(encoded.convert("RGB"))
        pixels.flags.writeable = False
        return pixels

    def array(self) -> NDArray[np.uint8]:
        """Return the pixels, (H, W, 3) RGB, 0 to 255, read-only."""
        return self._pixels

    def pil(self) -> PIL.Image.Image:
        """Return the pixels as a new Pillow image."""
        return PIL.Image.fromarray(self._pixels)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write a file in the format its ending names; the bytes as they came where that is their format."""
        target = Path(path)
        if _SUFFIXES.get(target.suffix.lower()) == self.format:
            target.write_bytes(self.data)
        else:
            self.pil().save(target)
        return target
