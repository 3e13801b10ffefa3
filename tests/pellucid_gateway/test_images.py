import io

import numpy as np
import pytest
from PIL import Image

from pellucid.v1 import analysis_service_pb2, image_pb2
from pellucid_gateway import images
from pellucid_gateway.errors import InvalidRequest

NOISE = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
SMOOTH = np.broadcast_to(np.arange(0, 240, 6, dtype=np.uint8)[:, None, None], (40, 30, 3)).copy()


def read(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("image_format", [image_pb2.IMAGE_FORMAT_PNG, image_pb2.IMAGE_FORMAT_WEBP])
def test_lossless_formats_keep_every_pixel(image_format: "image_pb2.ImageFormat.ValueType") -> None:
    np.testing.assert_array_equal(read(images.encode(NOISE, image_format)), NOISE)


def test_raw_bytes_are_the_pixels_row_by_row() -> None:
    assert images.encode(NOISE, image_pb2.IMAGE_FORMAT_RAW) == NOISE.tobytes()


def test_jpeg_is_close_and_its_quality_is_heard() -> None:
    fine, coarse = (images.encode(SMOOTH, image_pb2.IMAGE_FORMAT_JPEG, quality) for quality in (95, 20))
    assert np.abs(read(fine).astype(int) - SMOOTH).max() <= 6
    assert len(coarse) < len(fine)


@pytest.mark.parametrize("image_format", list(images.MEDIA_TYPES))
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (256, 256)])
@pytest.mark.parametrize("quality", [90, 95, 96, 100])
def test_no_image_is_larger_than_the_worst_case(
    image_format: "image_pb2.ImageFormat.ValueType", size: tuple[int, int], quality: int
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    harsh = np.where(noise < 128, 0, 255).astype(np.uint8)
    for pixels in (noise, harsh):
        encoded = images.encode(pixels, image_format, quality)
        assert len(encoded) <= images.worst_case_bytes(*size, image_format, quality)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_what_clients_send_is_decoded_to_rgb(name: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(SMOOTH).convert("L").save(buffer, name, quality=95, lossless=True)
    decoded = images.decode(analysis_service_pb2.ImageInput(data=buffer.getvalue()), "images[0]", 10_000)
    assert decoded.shape == (40, 30, 3)
    assert np.abs(decoded.astype(int) - SMOOTH).max() <= 6


def test_transparency_is_laid_over_white_and_orientation_is_applied() -> None:
    clear = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    clear.putpixel((0, 0), (10, 20, 30, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    buffer = io.BytesIO()
    clear.save(buffer, "PNG", exif=exif)
    decoded = images.decode(analysis_service_pb2.ImageInput(data=buffer.getvalue()), "images[0]", 10_000)
    assert decoded.tolist() == [[[10, 20, 30]], [[255, 255, 255]]]


def test_raw_pixels_are_taken_as_they_are() -> None:
    sent = analysis_service_pb2.ImageInput(data=NOISE.tobytes(), raw_height=40, raw_width=30)
    np.testing.assert_array_equal(images.decode(sent, "images[0]", 10_000), NOISE)


def png(height: int, width: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def deep() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4), 0x8000, dtype=np.uint16)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (analysis_service_pb2.ImageInput(data=b"GIF89a..."), "9 bytes are no readable JPEG, PNG or WebP"),
        (
            analysis_service_pb2.ImageInput(data=images.encode(NOISE, image_pb2.IMAGE_FORMAT_PNG)[:600]),
            "600 bytes are no readable",
        ),
        (analysis_service_pb2.ImageInput(data=png(20_000, 20_000)), "20000 x 20000 pixels, and the limit is 10000"),
        (analysis_service_pb2.ImageInput(data=b"12345", raw_height=1, raw_width=2), "1 x 2 x 3 raw pixels are 6"),
        (analysis_service_pb2.ImageInput(data=b"12345", raw_height=1), "1 x 0 x 3 raw pixels are 0"),
        (analysis_service_pb2.ImageInput(data=deep()), "more than 8 bits a channel"),
        (analysis_service_pb2.ImageInput(data=b"1", raw_height=200, raw_width=200), "the limit is 10000"),
    ],
)
def test_what_cannot_be_read_is_refused_by_field(sent: analysis_service_pb2.ImageInput, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        images.decode(sent, "images[3]", 10_000)
    assert caught.value.violations[0].field.startswith("images[3]")


def test_an_image_that_fits_is_not_touched_and_another_is_resized() -> None:
    assert images.resize(NOISE, 40, 30) is NOISE
    assert images.resize(SMOOTH, 20, 15).shape == (20, 15, 3)
    assert abs(images.resize(SMOOTH, 20, 15).mean() - SMOOTH.mean()) < 1
