"""Puts images back together that came in several messages."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Generic, Protocol, TypeVar

from pellucid.v1 import image_pb2, translation_service_pb2
from pellucid_client.errors import Internal

Part = TypeVar("Part", image_pb2.Image, translation_service_pb2.TranslatedImage)


class ImageMessage(Protocol):
    """A message of a stream of images."""

    @property
    def images(self) -> Iterable[image_pb2.Image]:
        """Whole images, or a part of a larger one."""


async def whole_images(messages: AsyncIterable[ImageMessage]) -> AsyncIterator[image_pb2.Image]:
    """Give each image once all its bytes are there; Internal where parts do not follow one another."""
    assembly = Assembly[image_pb2.Image](lambda image: image.index)
    async for message in messages:
        for part in message.images:
            image = assembly.add(part)
            if image is not None:
                yield image
    assembly.expect_nothing_open()


class Assembly(Generic[Part]):
    """The image whose parts are arriving; `number` tells images apart."""

    def __init__(self, number: Callable[[Part], int]) -> None:
        self._number: Callable[[Part], int] = number
        self._open: Part | None = None
        self._data = bytearray()

    def add(self, part: Part) -> Part | None:
        """Take a part, and return its image where that is whole now. Raises Internal for a part of another image."""
        if self._open is None:
            if len(part.data) >= part.data_size:
                return part
            self._open, self._data = part, bytearray(part.data)
            return None
        began, number = self._number(self._open), self._number(part)
        if number != began:
            raise Internal(f"image {number} began before image {began} was whole")
        self._data += part.data
        return self._finished(self._open)

    def _finished(self, image: Part) -> Part | None:
        if len(self._data) < image.data_size:
            return None
        if len(self._data) > image.data_size:
            raise Internal(f"image {self._number(image)} has {len(self._data)} bytes, not {image.data_size}")
        image.data = bytes(self._data)
        self._open = None
        return image

    def expect_nothing_open(self) -> None:
        """Raise Internal where an image lacks bytes."""
        if self._open is not None:
            missing = self._open.data_size - len(self._data)
            raise Internal(f"the stream ended {missing} bytes before the end of image {self._number(self._open)}")
