import io
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from pellucid_client import InvalidRequest
from pellucid_client.map_input import map_input


def decoded(data: bytes) -> tuple[str, list[list[int]]]:
    with PIL.Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        return image.mode, np.asarray(image).tolist()


@pytest.mark.parametrize(
    ("array", "mode", "numbers"),
    [
        (np.array([[0, 255]], np.int64), "L", [[0, 255]]),
        (np.array([[0, 256]], np.int16), "I;16", [[0, 256]]),
        (np.array([[65535], [7]], np.uint32), "I;16", [[65535], [7]]),
        (np.array([[True, False]]), "L", [[1, 0]]),
        (np.array([[1, 2], [3, 4]], np.uint8).T, "L", [[1, 3], [2, 4]]),
    ],
)
def test_an_array_becomes_a_png_of_as_many_bits_as_it_needs(array: Any, mode: str, numbers: list[list[int]]) -> None:
    message = map_input(array, "mask")
    assert decoded(message.data) == (mode, numbers)
    assert (message.raw_height, message.raw_width) == (0, 0)


def test_numbers_of_more_than_16_bits_go_raw() -> None:
    message = map_input(np.array([[65536, 1, 2**32 - 1]]), "mask")
    assert (message.raw_height, message.raw_width, message.raw_bytes) == (1, 3, 4)
    assert message.data == b"\0\0\1\0" + b"\1\0\0\0" + b"\xff\xff\xff\xff"


def test_files_and_bytes_go_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "map.png").write_bytes(b"any")
    assert map_input(tmp_path / "map.png", "mask").data == map_input(b"any", "mask").data == b"any"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (np.zeros((2, 2)), r"mask: float64 \(2, 2\) are no whole numbers \(H, W\)"),
        (np.zeros((2, 2, 3), np.uint8), r"uint8 \(2, 2, 3\)"),
        (np.zeros((0, 2), np.uint8), r"uint8 \(0, 2\)"),
        (np.array([[-1, 3]]), r"numbers from -1 to 3 are not all within 0 to 4294967295"),
        (np.array([[2**32]]), "4294967296"),
        ("map.png", "str is no map"),
    ],
)
def test_what_is_no_map_is_refused(given: Any, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        map_input(given, "mask")
