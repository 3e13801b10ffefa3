"""A sheet that shows what each word of a caption drew on."""

from itertools import groupby

import numpy as np
import PIL.Image

from pellucid_client.attention import AttentionMap
from pellucid_client.image import Image
from pellucid_client.rendition import Rendition
from pellucid_client.sheet import ContactSheet, Row

_TILE_PX = 128
_DIMMED = 0.15


def attention_sheet(image: Image) -> ContactSheet:
    """Return an image and, for each word, the image as bright as the word's weights; a row for each resolution.

    Every word's own largest weight is full brightness, and no weight is a shadow of the image.
    """
    groups = [list(maps) for _, maps in groupby(image.attention, lambda one: (one.width, one.height))]
    rows = [Row(f"{maps[0].width} x {maps[0].height}", [image, *(_lit(image, one) for one in maps)]) for maps in groups]
    words = [one.word for one in max(groups, key=len, default=[])]
    return ContactSheet(rows, ["", *words], tile_px=_TILE_PX)


def _lit(image: Image, attention: AttentionMap) -> Rendition:
    small = PIL.Image.fromarray(np.frombuffer(attention.levels, np.uint8).reshape(attention.height, attention.width))
    levels = np.asarray(small.resize((image.width, image.height), PIL.Image.Resampling.BICUBIC))  # (H, W)
    light = _DIMMED + (1 - _DIMMED) / 255 * levels[..., None]
    pixels = np.rint(image.array() * light).astype(np.uint8)
    return Rendition("raw", image.height, image.width, pixels.tobytes())
