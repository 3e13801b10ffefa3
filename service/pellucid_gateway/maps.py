"""Maps of numbers, one a pixel, as they are sent in."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pellucid.v1 import translation_service_pb2
from pellucid_gateway.errors import invalid
from pellucid_gateway.images import check_pixels, opened

Map = NDArray[np.int64]

_MODES = ("1", "L", "P", "I;16", "I;16B", "I")
_RAW: Mapping[int, np.dtype[np.unsignedinteger]] = {
    0: np.dtype("<u1"),
    1: np.dtype("<u1"),
    2: np.dtype("<u2"),
    4: np.dtype("<u4"),
}


def decode(given: translation_service_pb2.MapInput, at: str, max_px: int) -> Map:
    """Decode a map (H, W).

    Raises InvalidRequest about `at` where it is no PNG of one channel, is damaged, has more than `max_px` pixels by its
    header, or, for raw numbers, has the wrong number of bytes.
    """
    if given.raw_height or given.raw_width:
        return _raw(given, at, max_px)
    with opened(given.data, ("PNG",), at, max_px) as encoded:
        if encoded.mode not in _MODES:
            raise invalid(at, f"a PNG of mode {encoded.mode}, and one channel of 8 or 16 bits is needed")
        return np.asarray(encoded).astype(np.int64)


def measure(given: translation_service_pb2.MapInput, at: str, max_px: int) -> tuple[int, int]:
    """Read height and width of a map from its header. Raises InvalidRequest as `decode` does."""
    if given.raw_height or given.raw_width:
        check_pixels(given.raw_height, given.raw_width, at, max_px)
        return given.raw_height, given.raw_width
    with opened(given.data, ("PNG",), at, max_px) as encoded:
        return encoded.height, encoded.width


def _raw(given: translation_service_pb2.MapInput, at: str, max_px: int) -> Map:
    check_pixels(given.raw_height, given.raw_width, at, max_px)
    kind = _RAW[given.raw_bytes]
    expected = given.raw_height * given.raw_width * kind.itemsize
    if not expected or len(given.data) != expected:
        raise invalid(
            f"{at}.data",
            f"{len(given.data)} bytes, and {given.raw_height} x {given.raw_width} numbers of {kind.itemsize} bytes are "
            f"{expected}",
        )
    return np.frombuffer(given.data, kind).reshape(given.raw_height, given.raw_width).astype(np.int64)
