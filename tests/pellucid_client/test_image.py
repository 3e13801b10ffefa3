import dataclasses
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from pellucid.v1 import image_pb2
from pellucid_client import Image

RECIPE = image_pb2.Recipe(model="models/toy", seed=5)


def raw(height: int = 2, width: int = 3) -> Image:
    data = bytes(range(height * width * 3))
    return Image(index=0, format="raw", height=height, width=width, data=data, recipe=RECIPE)


def test_raw_pixels_are_rows_of_rgb() -> None:
    pixels = raw().array()
    assert pixels.shape == (2, 3, 3)
    assert pixels[1, 0].tolist() == [9, 10, 11]
    assert raw().pil().getpixel((2, 1)) == (15, 16, 17)


def test_an_image_does_not_change() -> None:
    image = raw()
    with pytest.raises(dataclasses.FrozenInstanceError):
        image.index = 1
    with pytest.raises(ValueError, match="read-only"):
        image.array()[0, 0, 0] = 1


def test_pixels_are_decoded_once() -> None:
    image = raw()
    assert image.array() is image.array()


def test_a_file_of_the_same_format_holds_the_bytes_as_they_came(tmp_path: Path) -> None:
    PIL.Image.fromarray(raw().array()).save(tmp_path / "made.jpg")
    data = (tmp_path / "made.jpg").read_bytes()
    image = Image(index=0, format="jpeg", height=2, width=3, data=data, recipe=RECIPE)
    assert image.save(tmp_path / "same.JPEG").read_bytes() == data


def test_a_file_of_another_format_holds_the_same_pixels(tmp_path: Path) -> None:
    saved = raw().save(tmp_path / "raw.png")
    assert np.array_equal(np.asarray(PIL.Image.open(saved)), raw().array())


def test_an_image_of_a_latent_has_no_seed() -> None:
    recipe = image_pb2.Recipe(model="models/toy", latent={"values": [1.0]})
    assert Image(index=0, format="raw", height=1, width=1, data=b"abc", recipe=recipe).seed is None
    assert raw().seed == 5
