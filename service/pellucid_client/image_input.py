"""Images that are sent in."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.typing import NDArray

from pellucid.v1 import analysis_service_pb2 as pb
from pellucid_client.errors import InvalidRequest
from pellucid_client.rendition import Rendition

ImageLike: TypeAlias = Rendition | PIL.Image.Image | NDArray[np.uint8] | bytes | Path
"""An image of this client, a Pillow image, pixels (H, W, 3), or an encoded JPEG, PNG or WebP or its path."""


def image_inputs(images: ImageLike | Iterable[ImageLike]) -> list[pb.ImageInput]:
    """Return the messages of one or several images; pixels of several are (N, H, W, 3)."""
    if isinstance(images, Rendition | PIL.Image.Image | bytes | Path):
        return [image_input(images)]
    if isinstance(images, np.ndarray) and images.ndim == 3:
        return [image_input(images)]
    return [image_input(image) for image in images]


def image_input(image: ImageLike, field: str = "images") -> pb.ImageInput:
    """Return an image as the contract's message: encoded bytes as they are, pixels raw.

    Raises InvalidRequest about `field` for what is no image, or has more than 8 bits a channel.
    """
    match image:
        case Rendition(format="raw"):
            return pb.ImageInput(data=image.data, raw_height=image.height, raw_width=image.width)
        case Rendition():
            return pb.ImageInput(data=image.data)
        case bytes():
            return pb.ImageInput(data=image)
        case Path():
            return pb.ImageInput(data=image.read_bytes())
        case PIL.Image.Image():
            return _raw(np.asarray(upright(image, field)), field)
        case np.ndarray():
            return _raw(image, field)
        case _:
            raise InvalidRequest.of(field, f"{type(image).__name__} is no image, pixels, bytes or Path")


def upright(image: PIL.Image.Image, field: str = "images") -> PIL.Image.Image:
    """Return a picture in RGB as the gateway reads it from a file: turned as EXIF says, transparency over white."""
    if image.mode.startswith(("I", "F")):
        raise InvalidRequest.of(field, f"mode {image.mode} holds more than 8 bits a channel, which is not supported")
    turned = PIL.ImageOps.exif_transpose(image)
    if turned.has_transparency_data:
        turned = PIL.Image.alpha_composite(PIL.Image.new("RGBA", turned.size, "white"), turned.convert("RGBA"))
    return turned.convert("RGB")


def _raw(pixels: NDArray[Any], field: str) -> pb.ImageInput:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise InvalidRequest.of(field, f"{pixels.dtype} {pixels.shape} are no uint8 pixels (H, W, 3)")
    height, width, _ = pixels.shape
    return pb.ImageInput(data=pixels.tobytes(), raw_height=height, raw_width=width)
