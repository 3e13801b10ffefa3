"""Points behind a mapping network (W and W+), known once the latents they come from are mapped.

Recipes are followed, edited and mixed before anything is computed. What lies in W is therefore a `Style`: the latents
to be mapped, and what is then done with their styles.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pellucid.v1 import image_pb2, latent_pb2
from pellucid_gateway import latents
from pellucid_gateway.conditions import Conditions
from pellucid_gateway.latents import Latents

Styles = NDArray[np.float32]


@dataclass(frozen=True)
class Leaf:
    """A latent (D,) of the prior, to be mapped under conditions."""

    latent: Latents
    conditions: Conditions


@dataclass(frozen=True)
class Style:
    """A point of W+ (layers, size): `finish` makes it of the mapped `leaves` (N, layers, size)."""

    leaves: tuple[Leaf, ...]
    finish: Callable[[Styles], Styles]


Point = Latents | Style
"""A latent (D,) of the prior, or a point behind the mapping."""


def mapped(point: Point, conditions: Conditions) -> Style:
    """Take a point behind the mapping, where it may be already."""
    if isinstance(point, Style):
        return point
    return Style((Leaf(point, conditions),), lambda styles: styles[0])


def given(values: Styles) -> Style:
    """Take a point of W+ (layers, size) as it is."""
    return Style((), lambda _: values)


def changed(style: Style, change: Callable[[Styles], Styles]) -> Style:
    """Change a style (layers, size) as soon as it is known."""
    return Style(style.leaves, lambda styles: change(style.finish(styles)))


def interpolated(start: Style, end: Style, position: float) -> Style:
    """Give the style at a position of the straight way between two."""

    def finish(styles: Styles) -> Styles:
        first, last = _both(start, end, styles)
        return latents.interpolate(first, last, position, image_pb2.PATH_LINEAR)

    return Style(start.leaves + end.leaves, finish)


def mixed(style: Style, other: Style, layers: latent_pb2.LayerRange) -> Style:
    """Take some layers' styles from another (StyleGAN, section 3.1)."""

    def finish(styles: Styles) -> Styles:
        base, taken = _both(style, other, styles)
        result = base.copy()
        result[layers.first : layers.last + 1] = taken[layers.first : layers.last + 1]
        return result

    return Style(style.leaves + other.leaves, finish)


def _both(first: Style, second: Style, styles: Styles) -> tuple[Styles, Styles]:
    split = len(first.leaves)
    return first.finish(styles[:split]), second.finish(styles[split:])
