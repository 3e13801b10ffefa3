"""Batches of images to stream messages that default clients can take."""

from collections.abc import Iterator

from pellucid.v1 import image_pb2

MESSAGE_BYTES = 2**20
"""Bytes of images, with their recipes, in one message: within any limit, and enough that messages cost little."""


def messages(batch: list[image_pb2.Image]) -> Iterator[list[image_pb2.Image]]:
    """Pack images into messages; one that is larger than a message goes alone, in parts (see Image.data_size)."""
    packed: list[image_pb2.Image] = []
    size = 0
    for image in batch:
        weight = image.ByteSize()
        if packed and size + weight > MESSAGE_BYTES:
            yield packed
            packed, size = [], 0
        if image.data_size > MESSAGE_BYTES:
            yield from ([part] for part in _parts(image))
        else:
            packed.append(image)
            size += weight
    if packed:
        yield packed


def _parts(image: image_pb2.Image) -> Iterator[image_pb2.Image]:
    data = image.data
    image.data = data[:MESSAGE_BYTES]
    yield image
    for start in range(MESSAGE_BYTES, len(data), MESSAGE_BYTES):
        yield image_pb2.Image(index=image.index, data=data[start : start + MESSAGE_BYTES])
