"""Contact sheets: rows and columns of images with captions, as one picture."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import TypeAlias

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from pellucid_client.image import Image
from pellucid_client.rendition import Rendition

Box: TypeAlias = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; the last two are just outside."""

_PAPER = (255, 255, 255)
_INK = (32, 32, 32)
_PAD_PX = 8


@dataclass(frozen=True)
class Row:
    """A row of a sheet; without images it is a heading."""

    caption: str
    images: Sequence[Rendition] = ()


@dataclass(frozen=True)
class ContactSheet:
    """A sheet to be drawn; every image fills a tile, whatever its own size."""

    rows: Sequence[Row]
    columns: Sequence[str] = ()
    """Captions above the first row that has images."""
    title: str = ""
    tile_px: int = 96
    """Width and height of a tile."""
    gap_px: int = 2
    _font: PIL.ImageFont.ImageFont | PIL.ImageFont.FreeTypeFont = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_font", PIL.ImageFont.load_default(max(11, self.tile_px // 6)))

    @property
    def width_px(self) -> int:
        """Width of the sheet."""
        across = max([len(self.columns), *(len(row.images) for row in self.rows)])
        widest_heading = max([self._text_px(self.title), *(self._text_px(r.caption) for r in self._headings)])
        tiles_px = self._left_px + across * (self.tile_px + self.gap_px)
        return max(tiles_px, widest_heading + _PAD_PX) + _PAD_PX

    @property
    def height_px(self) -> int:
        """Height of the sheet."""
        return self._tops_px[-1] + _PAD_PX

    def tile(self, row: int, column: int) -> Box:
        """Return where an image is drawn."""
        left = self._left_px + column * (self.tile_px + self.gap_px)
        top = self._tops_px[row]
        return left, top, left + self.tile_px, top + self.tile_px

    def draw(self) -> PIL.Image.Image:
        """Return the sheet as a picture."""
        sheet = PIL.Image.new("RGB", (self.width_px, self.height_px), _PAPER)
        pen = PIL.ImageDraw.Draw(sheet)
        if self.title:
            pen.text((_PAD_PX, _PAD_PX + self._line_px // 2), self.title, _INK, self._font, anchor="lm")
        for column, caption in enumerate(self.columns):
            left, _, right, _ = self.tile(0, column)
            middle = self._header_px - self._line_px // 2
            pen.text(((left + right) // 2, middle), caption, _INK, self._font, anchor="mm")
        for number, row in enumerate(self.rows):
            self._draw_caption(pen, number, row)
            for column, image in enumerate(row.images):
                sheet.paste(self._fitted(image), self.tile(number, column)[:2])
        return sheet

    def _draw_caption(self, pen: PIL.ImageDraw.ImageDraw, number: int, row: Row) -> None:
        top = self._tops_px[number]
        if row.images:
            left, _, _, bottom = self.tile(number, 0)
            pen.text((left - _PAD_PX, (top + bottom) // 2), row.caption, _INK, self._font, anchor="rm")
        else:
            pen.text((_PAD_PX, top + self._line_px // 2), row.caption, _INK, self._font, anchor="lm")

    def _fitted(self, image: Rendition) -> PIL.Image.Image:
        size = (self.tile_px, self.tile_px)
        picture = image.pil()
        return picture if picture.size == size else picture.resize(size, PIL.Image.Resampling.LANCZOS)

    @property
    def _headings(self) -> list[Row]:
        return [row for row in self.rows if not row.images]

    @cached_property
    def _left_px(self) -> int:
        captions = [self._text_px(row.caption) for row in self.rows if row.images]
        return _PAD_PX + max(captions, default=0) + _PAD_PX

    @cached_property
    def _header_px(self) -> int:
        lines = bool(self.title) + bool(self.columns)
        return _PAD_PX + lines * self._line_px

    @cached_property
    def _tops_px(self) -> list[int]:
        heights = [self.tile_px + self.gap_px if row.images else self._line_px for row in self.rows]
        return list(accumulate(heights, initial=self._header_px))

    @property
    def _line_px(self) -> int:
        return max(11, self.tile_px // 6) * 2

    def _text_px(self, text: str) -> int:
        return int(self._font.getlength(text)) + 1 if text else 0


def grid(images: Sequence[Image], across: int, title: str = "") -> ContactSheet:
    """Return a sheet of images in reading order, each row captioned with its first image's seed or position."""
    starts = range(0, len(images), across)
    rows = [Row(_caption(images[start]), images[start : start + across]) for start in starts]
    return ContactSheet(rows, title=title)


def _caption(image: Image) -> str:
    return f"#{image.index}" if image.seed is None else f"seed {image.seed}"
