"""Pictures in overlapping tiles of one size, and what comes of the tiles blended to one picture.

Neighbours share at least a quarter of a tile, as far as its multiples allow it. Of what they share, the quarter next to
either's border has no weight there, since a network makes up what lies beyond; between them one fades into the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pellucid_gateway.backends.base import Tensor
from pellucid_gateway.images import Pixels

Size = tuple[int, int]

_Weights = NDArray[np.float32]

_SUM_BYTES = 3 * 4
_TILE_BYTES = 8
"""Bytes of a pixel on its way: 3 or, as labels and instances, 5 that go, and 3 that come back."""


@dataclass(frozen=True)
class Tiling:
    """Tiles of the size `tile` over a picture of `size`; heights and widths, all of them multiples of `steps`."""

    size: Size
    tile: Size
    steps: Size

    @cached_property
    def tops(self) -> tuple[int, ...]:
        """Where rows of tiles begin."""
        return _starts(self.size[0], self.tile[0], self.steps[0])

    @cached_property
    def lefts(self) -> tuple[int, ...]:
        """Where columns of tiles begin."""
        return _starts(self.size[1], self.tile[1], self.steps[1])

    @property
    def row_bytes(self) -> int:
        """Bytes that a row of tiles holds: going, coming back, and as sums, which are copied when they are done."""
        height, width = self.tile
        return height * (len(self.lefts) * width * _TILE_BYTES + (2 * self.size[1] + width) * _SUM_BYTES)

    def row(self, plane: Tensor, top: int) -> list[Tensor]:
        """Cut a row of tiles, which are views, from pixels (H, W, 3) or a map (H, W)."""
        height, width = self.tile
        return [plane[top : top + height, left : left + width] for left in self.lefts]


class Mosaic:
    """A picture that is put together row by row; besides its `pixels` it holds the sums of one row of tiles."""

    def __init__(self, tiling: Tiling):
        self.pixels: Pixels = np.zeros((*tiling.size, 3), np.uint8)
        self._tiling = tiling
        self._down = _weights(tiling.tops, tiling.tile[0])
        self._across = _weights(tiling.lefts, tiling.tile[1])
        self._sums = np.zeros((tiling.tile[0], tiling.size[1], 3), np.float32)
        self._rows = 0

    def add(self, row: Sequence[Pixels]) -> None:
        """Blend the next row of tiles (h, w, 3) with those above it."""
        tops, width = self._tiling.tops, self._tiling.tile[1]
        down = self._down[self._rows][:, None]
        for tile, left, across in zip(row, self._tiling.lefts, self._across, strict=True):
            self._sums[:, left : left + width] += (down * across)[:, :, None] * tile
        top = tops[self._rows]
        self._rows += 1
        # What lies above the next row gets nothing more.
        end = tops[self._rows] if self._rows < len(tops) else self._tiling.size[0]
        self.pixels[top:end] = np.rint(self._sums[: end - top])
        self._sums[: top - end] = self._sums[end - top :]
        self._sums[top - end :] = 0


def _starts(side: int, tile: int, step: int) -> tuple[int, ...]:
    """Spread tiles evenly over a side."""
    stride = max(step, tile * 3 // 4 // step * step)
    last = side - tile
    count = 1 + -(-last // stride)
    return (*(number * last // (count - 1) // step * step for number in range(count - 1)), last)


def _weights(starts: Sequence[int], tile: int) -> list[_Weights]:
    """Give the weights of each tile along a side; those of all tiles that hold a pixel add up to 1."""
    middles = np.arange(tile) + 0.5
    edges = (-tile, *starts, starts[-1] + tile)
    return [
        (_share(start + middles, before, start, tile) - _share(start + middles, start, after, tile)).astype(np.float32)
        for before, start, after in zip(edges[:-2], starts, edges[2:], strict=True)
    ]


def _share(middles: NDArray[np.floating], before: int, after: int, tile: int) -> NDArray[np.floating]:
    """Give what pixels have of the tile that begins at `after`, and those behind it, against all that begin earlier."""
    shared = before + tile - after
    margin = shared // 4
    # Where nothing is shared, the share jumps between two pixels, whose middles are half a pixel away.
    share: NDArray[np.floating] = np.clip((middles - after - margin) / max(shared - 2 * margin, 0.5), 0, 1)
    return share
