"""Bytes to pixels and back. Pixels are uint8 (H, W, 3), RGB."""

import io
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pellucid.v1 import analysis_service_pb2, image_pb2
from pellucid_gateway.errors import invalid
from pellucid_gateway.telemetry import metrics

Pixels = NDArray[np.uint8]

DEFAULT_QUALITY = 90
SUBSAMPLED_UP_TO = 95
"""Quality of JPEG up to which chroma has half the resolution."""
MEDIA_TYPES = {
    image_pb2.IMAGE_FORMAT_JPEG: "image/jpeg",
    image_pb2.IMAGE_FORMAT_PNG: "image/png",
    image_pb2.IMAGE_FORMAT_WEBP: "image/webp",
    image_pb2.IMAGE_FORMAT_RAW: "application/octet-stream",
}
_READABLE = ("JPEG", "PNG", "WEBP")
_ANIMATED = ("PNG", "WEBP")
MAX_SIDE = 16384

# NOTE: Pillow's own limit only warns below twice its value; `decode` checks the header against ours before it decodes.
Image.MAX_IMAGE_PIXELS = None


def executor(threads: int) -> Executor:
    """Make the threads that encode and decode; the codecs release the interpreter's lock."""
    return ThreadPoolExecutor(threads, thread_name_prefix="images")


def encode(pixels: Pixels, image_format: "image_pb2.ImageFormat.ValueType", quality: int = DEFAULT_QUALITY) -> bytes:
    """Encode pixels (H, W, 3). WebP is lossless; PNG is written at its fastest level; raw bytes go row by row."""
    with metrics.encoding(image_format):
        return _encoded(pixels, image_format, quality)


def _encoded(pixels: Pixels, image_format: "image_pb2.ImageFormat.ValueType", quality: int) -> bytes:
    if image_format == image_pb2.IMAGE_FORMAT_RAW:
        return pixels.tobytes()
    if image_format == image_pb2.IMAGE_FORMAT_JPEG:
        encoded = simplejpeg.encode_jpeg(
            np.ascontiguousarray(pixels), quality, "RGB", "420" if quality <= SUBSAMPLED_UP_TO else "444"
        )
        return bytes(encoded)
    buffer = io.BytesIO()
    if image_format == image_pb2.IMAGE_FORMAT_PNG:
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    else:
        Image.fromarray(pixels).save(buffer, "WEBP", lossless=True, quality=0, method=0)
    return buffer.getvalue()


def worst_case_bytes(height: int, width: int, image_format: "image_pb2.ImageFormat.ValueType", quality: int) -> int:
    """Bound the size of an encoded image.

    Largest measured of noise, black and white noise and chequers, in bytes a raw byte: JPEG 0.53 up to quality 95 and
    1.64 above it, where chroma is not subsampled; PNG and WebP 1.01.
    """
    raw = height * width * 3
    if image_format == image_pb2.IMAGE_FORMAT_RAW:
        return raw
    share = (0.6 if quality <= SUBSAMPLED_UP_TO else 1.8) if image_format == image_pb2.IMAGE_FORMAT_JPEG else 1.05
    return int(raw * share) + 4096


def decode(image: analysis_service_pb2.ImageInput, field: str, max_image_px: int) -> Pixels:
    """Decode an image that was sent in to pixels (H, W, 3).

    Raises InvalidRequest about `field` where it is not a JPEG, PNG or WebP, is damaged, has more than `max_image_px`
    pixels by its header or more than 8 bits a channel, or, for raw pixels, has the wrong number of bytes. The
    orientation of EXIF is applied, and transparency is laid over white.
    """
    if image.raw_height or image.raw_width:
        return _decode_raw(image, field, max_image_px)
    with metrics.decoding(), opened(image.data, _READABLE, field, max_image_px) as encoded:
        return _rgb(encoded, field)


def measure(image: analysis_service_pb2.ImageInput, field: str, max_image_px: int) -> tuple[int, int]:
    """Read height and width of an image that was sent in from its header. Raises InvalidRequest as `decode` does."""
    if image.raw_height or image.raw_width:
        check_pixels(image.raw_height, image.raw_width, field, max_image_px)
        return image.raw_height, image.raw_width
    with opened(image.data, _READABLE, field, max_image_px) as encoded:
        return encoded.height, encoded.width


@contextmanager
def opened(data: bytes, formats: tuple[str, ...], field: str, max_px: int) -> Iterator[Image.Image]:
    """Open bytes of one of Pillow's `formats`: the header is checked, and pixels are decoded when they are used.

    Raises InvalidRequest about `field` for too many pixels, and for what cannot be read, also while it is used.
    """
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            check_pixels(image.height, image.width, field, max_px)
            yield image
    except (OSError, SyntaxError, ValueError) as error:
        wanted = " or ".join((", ".join(formats[:-1]), formats[-1])) if len(formats) > 1 else formats[0]
        raise invalid(f"{field}.data", f"{len(data)} bytes are no readable {wanted.replace('WEBP', 'WebP')}") from error


def _rgb(opened: Image.Image, field: str) -> Pixels:
    if opened.format in _ANIMATED and getattr(opened, "is_animated", False):
        raise invalid(field, f"an animation of {opened.n_frames} images, and one image is needed")  # type: ignore[attr-defined]
    if opened.mode.startswith(("I", "F")):
        raise invalid(field, f"mode {opened.mode} holds more than 8 bits a channel, which is not supported")
    upright = ImageOps.exif_transpose(opened)
    if upright.has_transparency_data:
        white = Image.new("RGBA", upright.size, "white")
        upright = Image.alpha_composite(white, upright.convert("RGBA"))
    return np.asarray(upright.convert("RGB"))


def grey(pixels: Pixels) -> Pixels:
    """Make pixels grey by Pillow's weights (ITU-R 601-2), in three equal channels."""
    return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))


def resize(pixels: Pixels, height: int, width: int) -> Pixels:
    """Resize pixels to (height, width, 3) by Pillow's antialiased bilinear filter; a no-op where they fit."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def _decode_raw(image: analysis_service_pb2.ImageInput, field: str, max_image_px: int) -> Pixels:
    check_pixels(image.raw_height, image.raw_width, field, max_image_px)
    expected = image.raw_height * image.raw_width * 3
    if not expected or len(image.data) != expected:
        raise invalid(
            f"{field}.data",
            f"{len(image.data)} bytes, and {image.raw_height} x {image.raw_width} x 3 raw pixels are {expected}",
        )
    return np.frombuffer(image.data, np.uint8).reshape(image.raw_height, image.raw_width, 3)


def check_pixels(height: int, width: int, field: str, max_px: int) -> None:
    """Raise InvalidRequest about `field` for a picture of too many pixels, or with a side that is too long."""
    if height * width > max_px:
        raise invalid(field, f"{height} x {width} pixels, and the limit is {max_px} pixels in all")
    if max(height, width) > MAX_SIDE:
        raise invalid(field, f"{height} x {width} pixels, and the limit is {MAX_SIDE} along a side")
