"""Pictures brought to a size that a translator permits, and its results brought back."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pellucid.v1 import model_pb2, translation_pb2, translation_service_pb2
from pellucid_gateway.errors import Refused, invalid
from pellucid_gateway.images import check_pixels
from pellucid_gateway.tiles import Size, Tiling

Plane = NDArray[np.generic]
"""Pixels (H, W, 3), or a map (H, W)."""

_FILTERS = {
    translation_pb2.RESAMPLING_UNSPECIFIED: Image.Resampling.BICUBIC,
    translation_pb2.RESAMPLING_BICUBIC: Image.Resampling.BICUBIC,
    translation_pb2.RESAMPLING_BILINEAR: Image.Resampling.BILINEAR,
}


@dataclass(frozen=True)
class Fitting:
    """How pictures of one size are fitted: `apply` to pixels or maps, `restore` for what comes of them.

    `size` is the height and width that the network sees: a tile's where there is a `tiling`.
    """

    size: Size
    apply: Callable[[Plane], Plane]
    restore: Callable[[Plane], Plane]
    tiling: Tiling | None = None

    @property
    def whole(self) -> Size:
        """Height and width of the fitted picture."""
        return self.tiling.size if self.tiling else self.size


def plan(source: Size, asked: translation_service_pb2.SourceFit, card: model_pb2.Model, most_px: int) -> Fitting:
    """Say how pictures of a size (height, width) are fitted to a model.

    Raises InvalidRequest about `fit` for a size that the model does not permit or that is above `most_px`, and Refused
    for tiles that the model does not permit.
    """
    sizes = card.translation.sizes
    if asked.official:
        if asked.mode or asked.HasField("height") or asked.HasField("width") or asked.HasField("center_crop"):
            raise invalid("fit.official", "not together with the other fields of fit")
        asked = translation_service_pb2.SourceFit(mode=translation_pb2.FIT_MODE_RESIZE)
        if sizes.center_crop:
            asked.center_crop = sizes.center_crop
    cut = _center_crop(asked.center_crop) if asked.HasField("center_crop") else None
    check_pixels(asked.center_crop, asked.center_crop, "fit.center_crop", most_px)
    start = (asked.center_crop, asked.center_crop) if cut else source
    fitting = _MODES[asked.mode or sizes.default_fit or translation_pb2.FIT_MODE_RESIZE](start, asked, card)
    height, width = fitting.size
    if height * width > sizes.max_px > 0:
        raise invalid("fit", f"{height} x {width} pixels, and {card.name} takes at most {sizes.max_px} in all")
    check_pixels(*fitting.whole, "fit", most_px)
    return replace(fitting, apply=lambda plane: fitting.apply(cut(plane))) if cut else fitting


def resize(plane: Plane, size: Size, resampling: Image.Resampling) -> Plane:
    """Resize pixels by a filter, and maps by their nearest pixels."""
    if plane.shape[:2] == size:
        return plane
    height, width = size
    if plane.ndim == 2:
        image = Image.fromarray(plane.astype(np.int32))
        return np.asarray(image.resize((width, height), Image.Resampling.NEAREST)).astype(plane.dtype)
    return np.asarray(Image.fromarray(plane).resize((width, height), resampling))


def _keep(source: Size, asked: translation_service_pb2.SourceFit, card: model_pb2.Model) -> Fitting:
    if not _permits(card, source):
        raise invalid(
            "fit.mode",
            f"FIT_MODE_KEEP, the source has {source[0]} x {source[1]} pixels, and {card.name} takes {_rule(card)}",
        )
    return Fitting(source, _same, _same)


def _resize(source: Size, asked: translation_service_pb2.SourceFit, card: model_pb2.Model) -> Fitting:
    target = _wanted(source, asked, card)
    if not _permits(card, target):
        raise invalid("fit", f"{target[0]} x {target[1]} pixels, and {card.name} takes {_rule(card)}")
    resampling = _FILTERS[card.translation.sizes.resampling]
    return Fitting(target, lambda plane: resize(plane, target, resampling), _same)


def _pad(source: Size, asked: translation_service_pb2.SourceFit, card: model_pb2.Model) -> Fitting:
    height, width = source
    target = _card_size(card) if card.translation.sizes.fixed else _rounded(source, card, up=True)
    if target[0] < height or target[1] < width:
        raise invalid(
            "fit.mode", f"FIT_MODE_PAD, the source has {height} x {width} pixels, and {card.name} takes {_rule(card)}"
        )
    return _continued(source, target)


def _continued(source: Size, target: Size) -> Fitting:
    height, width = source

    def apply(plane: Plane) -> Plane:
        border = [(0, target[0] - height), (0, target[1] - width), *[(0, 0)] * (plane.ndim - 2)]
        # A picture of one pixel has nothing to reflect, and is continued by its border.
        return np.pad(plane, border, mode="symmetric")

    return Fitting(target, apply, lambda plane: plane[:height, :width])


def _nearest(source: Size, asked: translation_service_pb2.SourceFit, card: model_pb2.Model) -> Fitting:
    target = _card_size(card) if card.translation.sizes.fixed else _rounded(source, card, up=False)
    resampling = _FILTERS[card.translation.sizes.resampling]
    return Fitting(
        target, lambda plane: resize(plane, target, resampling), lambda plane: resize(plane, source, resampling)
    )


def _tile(source: Size, asked: translation_service_pb2.SourceFit, card: model_pb2.Model) -> Fitting:
    if not card.translation.sizes.tiles:
        raise Refused(
            "TILES_NOT_SUPPORTED",
            f"{card.name} may not be applied in tiles (its card's translation.sizes.tiles): what it makes of a part "
            "depends on the whole image",
        )
    tile, steps = _card_size(card), _multiples(card)
    height, width = (max(least, -(-side // step) * step) for side, least, step in zip(source, tile, steps, strict=True))
    return replace(_continued(source, (height, width)), size=tile, tiling=Tiling((height, width), tile, steps))


_MODES = {
    translation_pb2.FIT_MODE_KEEP: _keep,
    translation_pb2.FIT_MODE_RESIZE: _resize,
    translation_pb2.FIT_MODE_PAD: _pad,
    translation_pb2.FIT_MODE_NEAREST: _nearest,
    translation_pb2.FIT_MODE_TILE: _tile,
}


def _wanted(source: Size, asked: translation_service_pb2.SourceFit, card: model_pb2.Model) -> Size:
    if asked.HasField("height") and asked.HasField("width"):
        return asked.height, asked.width
    if asked.HasField("width"):
        return _along(source[0], Fraction(asked.width, source[1]), card.translation.sizes.height_multiple), asked.width
    if asked.HasField("height"):
        return asked.height, _along(source[1], Fraction(asked.height, source[0]), card.translation.sizes.width_multiple)
    return _card_size(card)


def _along(side: int, scale: Fraction, multiple: int) -> int:
    """Give the other side of a picture that is scaled, in the nearest permitted multiple."""
    step = max(1, multiple)
    return max(step, round(Fraction(int(side * scale), step)) * step)


def _rounded(size: Size, card: model_pb2.Model, *, up: bool) -> Size:
    least = max(1, card.translation.sizes.min_side)
    height, width = (
        max(-(-least // step), -(-side // step) if up else round(Fraction(side, step))) * step
        for side, step in zip(size, _multiples(card), strict=True)
    )
    return height, width


def _permits(card: model_pb2.Model, size: Size) -> bool:
    if card.translation.sizes.fixed:
        return size == _card_size(card)
    least = card.translation.sizes.min_side
    return all(side % step == 0 and side >= least for side, step in zip(size, _multiples(card), strict=True))


def _rule(card: model_pb2.Model) -> str:
    if card.translation.sizes.fixed:
        return f"{card.height} x {card.width} only"
    height, width = _multiples(card)
    least = max(1, card.translation.sizes.min_side)
    return f"heights in multiples of {height} and widths in multiples of {width}, from {least} on"


def _multiples(card: model_pb2.Model) -> Size:
    return max(1, card.translation.sizes.height_multiple), max(1, card.translation.sizes.width_multiple)


def _card_size(card: model_pb2.Model) -> Size:
    return card.height, card.width


def _center_crop(side: int) -> Callable[[Plane], Plane]:
    def crop(plane: Plane) -> Plane:
        height, width = plane.shape[:2]
        # NOTE: torchvision's CenterCrop: what is missing is black, and halves are rounded to even.
        grown = [(max(0, side - n) // 2, (max(0, side - n) + 1) // 2) for n in (height, width)]
        padded = np.pad(plane, [*grown, *[(0, 0)] * (plane.ndim - 2)])
        top, left = (round((n - side) / 2) for n in padded.shape[:2])
        return padded[top : top + side, left : left + side]

    return crop


def _same(plane: Plane) -> Plane:
    return plane
