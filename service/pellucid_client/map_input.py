"""Maps of numbers, one a pixel, that are sent in."""

import io
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from pellucid.v1 import translation_service_pb2 as pb
from pellucid_client.errors import InvalidRequest

MapLike: TypeAlias = NDArray[Any] | bytes | Path
"""Whole numbers (H, W) from 0 to 2^32 - 1, or an encoded PNG of one channel or of a palette, or its path."""

_LARGEST = 2**32 - 1


def map_input(given: MapLike, field: str) -> pb.MapInput:
    """Return a map as the contract's message: an array as PNG, or raw where it has numbers of more than 16 bits.

    Raises InvalidRequest about `field` for an array of another shape, kind or range.
    """
    match given:
        case bytes():
            return pb.MapInput(data=given)
        case Path():
            return pb.MapInput(data=given.read_bytes())
        case np.ndarray():
            return _encoded(_checked(given, field))
        case _:
            raise InvalidRequest.of(field, f"{type(given).__name__} is no map: give an array, bytes or a Path")


def _checked(array: NDArray[Any], field: str) -> NDArray[Any]:
    if array.ndim != 2 or not array.size or array.dtype.kind not in "bui":
        raise InvalidRequest.of(field, f"{array.dtype} {array.shape} are no whole numbers (H, W)")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > _LARGEST:
        raise InvalidRequest.of(field, f"numbers from {low} to {high} are not all within 0 to {_LARGEST}")
    return array


def _encoded(array: NDArray[Any]) -> pb.MapInput:
    if array.max() >= 2**16:
        height, width = array.shape
        return pb.MapInput(data=array.astype("<u4").tobytes(), raw_height=height, raw_width=width, raw_bytes=4)
    # Messages hold 4 MB and maps cannot come in parts; PNG makes little of their flat areas.
    narrow = array.astype(np.uint8 if array.max() < 2**8 else np.uint16)
    buffer = io.BytesIO()
    PIL.Image.fromarray(narrow).save(buffer, "PNG")
    return pb.MapInput(data=buffer.getvalue())
