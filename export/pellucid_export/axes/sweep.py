"""A picture of axes: a row an axis, a column a number of steps, one face throughout."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from pellucid_export.axes.world import World

STEPS = (-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0)

_MARGIN_WIDTH = 92
_HEADER_HEIGHT = 18
# A palette halves the bytes of a picture that is only looked at.
_COLOURS = 256


def typical(latents: npt.NDArray[np.float32], directions: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The latent (D,) of several (N, D) whose largest coordinate along the directions (K, D) is the smallest."""
    chosen: npt.NDArray[np.float32] = latents[np.abs(latents @ directions.T).max(axis=1).argmin()]
    return chosen


def draw(
    world: World, latent: npt.NDArray[np.float32], directions: npt.NDArray[np.float64], names: Sequence[str]
) -> Image.Image:
    """Move a latent (D,) by each of `STEPS` along each direction (K, D)."""
    moved = latent + np.array(STEPS)[None, :, None] * directions[:, None, :]  # (K, steps, D)
    images = world.images(moved.reshape(-1, moved.shape[-1]).astype(np.float32))
    rows = images.reshape(len(directions), len(STEPS), *images.shape[1:])
    height, width = images.shape[1:3]
    canvas = Image.new("RGB", (_MARGIN_WIDTH + len(STEPS) * width, _HEADER_HEIGHT + len(directions) * height), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    for column, steps in enumerate(STEPS):
        middle = _MARGIN_WIDTH + column * width + width / 2
        pen.text((middle, _HEADER_HEIGHT / 2), f"{steps:+g}" if steps else "0", "black", font, anchor="mm")
    for row, name in enumerate(names):
        top = _HEADER_HEIGHT + row * height
        pen.text((_MARGIN_WIDTH - 6, top + height / 2), name, "black", font, anchor="rm")
        for column, image in enumerate(rows[row]):
            canvas.paste(Image.fromarray(image), (_MARGIN_WIDTH + column * width, top))
    return canvas.quantize(_COLOURS, kmeans=1, dither=Image.Dither.FLOYDSTEINBERG)
