"""Labels of images."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from pellucid.v1 import analysis_service_pb2 as pb
from pellucid_client.errors import InvalidRequest, PellucidError
from pellucid_client.image import Image
from pellucid_client.status import error_from_status

ImageLike: TypeAlias = Image | PIL.Image.Image | NDArray[np.uint8] | bytes | Path
"""An image of this client, a Pillow image, pixels (H, W, 3), or an encoded JPEG, PNG or WebP or its path."""

_MESSAGE_BYTES = 2**20
_MESSAGE_IMAGES = 64


@dataclass(frozen=True)
class Analysis:
    """What a classifier measured of one image, or in `error` why it could not."""

    index: int
    values: Mapping[str, float] = field(default_factory=dict)
    """By label: a probability, or a number in the label's unit."""
    error: PellucidError | None = None

    def __getitem__(self, label: str) -> float:
        """Return a label's value; raises the image's error where it has one."""
        if self.error is not None:
            raise self.error
        return self.values[label]

    @classmethod
    def from_message(cls, message: pb.Analysis, index: int) -> "Analysis":
        """Return the analysis of a message, at a position of its own."""
        values = {measurement.label: measurement.value for measurement in message.measurements}
        return cls(index, MappingProxyType(values))

    @classmethod
    def from_result(cls, message: pb.AnalysisResult, index: int) -> "Analysis":
        """Return the analysis or the error of one image of a stream."""
        if message.HasField("error"):
            return cls(index, error=error_from_status(message.error))
        return cls.from_message(message.analysis, index)


def image_inputs(images: ImageLike | Iterable[ImageLike]) -> list[pb.ImageInput]:
    """Return the messages of one or several images; pixels of several are (N, H, W, 3)."""
    if isinstance(images, Image | PIL.Image.Image | bytes | Path):
        return [image_input(images)]
    if isinstance(images, np.ndarray) and images.ndim == 3:
        return [image_input(images)]
    return [image_input(image) for image in images]


def image_input(image: ImageLike) -> pb.ImageInput:
    """Return an image as the contract's message: encoded bytes as they are, pixels raw."""
    match image:
        case Image(format="raw"):
            return pb.ImageInput(data=image.data, raw_height=image.height, raw_width=image.width)
        case Image():
            return pb.ImageInput(data=image.data)
        case bytes():
            return pb.ImageInput(data=image)
        case Path():
            return pb.ImageInput(data=image.read_bytes())
        case PIL.Image.Image():
            return _raw(np.asarray(image.convert("RGB")))
        case _:
            return _raw(image)


def packed(images: Iterable[ImageLike]) -> Iterator[list[pb.ImageInput]]:
    """Give the images in groups that fit into one message of a stream."""
    group: list[pb.ImageInput] = []
    size = 0
    for image in map(image_input, images):
        if group and size + len(image.data) > _MESSAGE_BYTES:
            yield group
            group, size = [], 0
        group.append(image)
        size += len(image.data)
        if len(group) == _MESSAGE_IMAGES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _raw(pixels: NDArray[Any]) -> pb.ImageInput:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise InvalidRequest.of("images", f"{pixels.dtype} {pixels.shape} are no uint8 pixels (H, W, 3)")
    height, width, _ = pixels.shape
    return pb.ImageInput(data=pixels.tobytes(), raw_height=height, raw_width=width)
