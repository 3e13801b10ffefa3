"""Puts images back together that came in several messages."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Protocol

from pellucid.v1 import image_pb2
from pellucid_client.errors import Internal


class ImageMessage(Protocol):
    """A message of a stream of images."""

    @property
    def images(self) -> Iterable[image_pb2.Image]:
        """Whole images, or a part of a larger one."""


async def whole_images(messages: AsyncIterable[ImageMessage]) -> AsyncIterator[image_pb2.Image]:
    """Give each image once all its bytes are there; Internal where parts do not follow one another."""
    assembly = _Assembly()
    async for message in messages:
        for part in message.images:
            image = assembly.add(part)
            if image is not None:
                yield image
    assembly.expect_nothing_open()


class _Assembly:
    """The image whose parts are arriving."""

    def __init__(self) -> None:
        self._open: image_pb2.Image | None = None
        self._data = bytearray()

    def add(self, part: image_pb2.Image) -> image_pb2.Image | None:
        if self._open is None:
            if len(part.data) >= part.data_size:
                return part
            self._open, self._data = part, bytearray(part.data)
            return None
        if part.index != self._open.index:
            raise Internal(f"image {part.index} began before image {self._open.index} was whole")
        self._data += part.data
        return self._finished(self._open)

    def _finished(self, image: image_pb2.Image) -> image_pb2.Image | None:
        if len(self._data) < image.data_size:
            return None
        if len(self._data) > image.data_size:
            raise Internal(f"image {image.index} has {len(self._data)} bytes, not {image.data_size}")
        image.data = bytes(self._data)
        self._open = None
        return image

    def expect_nothing_open(self) -> None:
        if self._open is not None:
            missing = self._open.data_size - len(self._data)
            raise Internal(f"the stream ended {missing} bytes before the end of image {self._open.index}")
