"""Encoded pictures, decoded when their pixels are first asked for."""

import io
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np
import PIL.Image
from numpy.typing import NDArray

FormatName = Literal["jpeg", "png", "webp", "raw"]

_SUFFIXES: dict[str, FormatName] = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp"}


@dataclass(frozen=True, eq=False)
class Rendition:
    """A picture in one resolution."""

    format: FormatName
    height: int
    """In pixels, as `width`."""
    width: int
    data: bytes
    """The encoded picture; for "raw" height * width * 3 bytes, RGB, row by row."""

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
