"""Small pictures and label maps as they come in requests."""

import io

import numpy as np
from PIL import Image

RAMP = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
LABELS = (np.arange(64) % 3).astype(np.uint8).reshape(8, 8)


def encoded(pixels: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


PICTURES = (
    RAMP.tobytes(),
    encoded(RAMP, "PNG"),
    encoded(RAMP, "JPEG"),
    encoded(RAMP, "WEBP"),
    encoded(RAMP, "GIF"),
    encoded(np.tile(RAMP, (8, 5, 1)), "PNG"),
    encoded(RAMP[..., 0], "PNG"),
    encoded(LABELS, "PNG"),
    encoded(LABELS.astype(np.uint16), "PNG"),
    LABELS.tobytes(),
)
