"""A picture of axes: a row an axis, a column a number of steps, one image throughout."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from pellucid_export.axes.generator import Generator

STEPS = (-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0)

_MARGIN_WIDTH = 92
_HEADER_HEIGHT = 18
# Larger images are shown smaller.
_LARGEST_SIDE = 128
# A palette halves the bytes of a picture that is only looked at.
_COLOURS = 256

Moves = npt.NDArray[np.float64]


def typical(generator: Generator, seeds: Sequence[int], steps: Moves) -> int:
    """The seed of several whose point is nearest to their middle along each axis; a row of `steps` (K, D) is a step."""
    points = generator.points(seeds).astype(np.float64)
    lengths = np.square(steps).sum(axis=1)
    coordinates = (points - points.mean(axis=0)) @ steps.T / lengths  # (N, K), in steps
    return seeds[int(np.abs(coordinates).max(axis=1).argmin())]


def draw(generator: Generator, seed: int, steps: Moves, names: Sequence[str]) -> Image.Image:
    """Move the point of a seed by each of `STEPS` along each axis, of which a row of `steps` (K, D) is a step."""
    rows = [_row(generator, seed, step) for step in steps]
    width, height = rows[0][0].size
    canvas = Image.new("RGB", (_MARGIN_WIDTH + len(STEPS) * width, _HEADER_HEIGHT + len(rows) * height), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    for column, count in enumerate(STEPS):
        middle = _MARGIN_WIDTH + column * width + width / 2
        pen.text((middle, _HEADER_HEIGHT / 2), f"{count:+g}" if count else "0", "black", font, anchor="mm")
    for row, name in enumerate(names):
        top = _HEADER_HEIGHT + row * height
        pen.text((_MARGIN_WIDTH - 6, top + height / 2), name, "black", font, anchor="rm")
        for column, image in enumerate(rows[row]):
            canvas.paste(image, (_MARGIN_WIDTH + column * width, top))
    return canvas.quantize(_COLOURS, kmeans=1, dither=Image.Dither.FLOYDSTEINBERG)


def _row(generator: Generator, seed: int, step: Moves) -> list[Image.Image]:
    moves = np.array(STEPS)[:, None] * step
    images = [Image.fromarray(one) for batch in generator.images([seed] * len(STEPS), moves) for one in batch]
    for image in images:
        image.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    return images
