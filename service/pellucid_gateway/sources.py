"""Sources of translations: decoded, edited, and fitted to the model."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from pellucid.v1 import model_pb2, translation_service_pb2
from pellucid_gateway import alignment, fitting, images, maps, scenes
from pellucid_gateway.alignment import Aligner
from pellucid_gateway.backends.base import Tensor
from pellucid_gateway.errors import GatewayError, invalid
from pellucid_gateway.fitting import Fitting
from pellucid_gateway.images import Pixels
from pellucid_gateway.scenes import Scene
from pellucid_gateway.tiles import Size

IMAGE_BYTES = 4 * 3
"""Bytes of a source's pixel at most: it is held decoded, turned upright, cut or padded, and fitted."""
SCENE_BYTES = 3 * 2 * 8 + 3 * 8
"""Bytes of a scene's pixel at most: its two maps decoded, edited and fitted, and what numbers its instances anew."""


@dataclass(frozen=True)
class Prepared:
    """A source ready for the network: one row of each tensor, and the way back to the size that it came in.

    `pixels` are those of a source that is an image, as it came; `scene` is a fitted scene's.
    """

    tensors: Mapping[str, Tensor]
    fitting: Fitting
    source_size: Size
    restored_size: Size
    pixels: Pixels | None
    scene: Scene | None


def held_bytes(
    source: translation_service_pb2.TranslationSource,
    fit: translation_service_pb2.SourceFit,
    card: model_pb2.Model,
    at: str,
    targets: int,
    max_px: int,
) -> int:
    """Bound the bytes that a source and its translations hold, from headers alone.

    Raises InvalidRequest about `at` for what cannot be read or has too many pixels.
    """
    if source.HasField("image"):
        height, width = images.measure(source.image, f"{at}.image", max_px)
        sent, pixel_bytes = max(len(source.image.data), source.image.data_size), IMAGE_BYTES
    else:
        height, width = maps.measure(source.scene.label_map, f"{at}.scene.label_map", max_px)
        sent, pixel_bytes = source.ByteSize(), SCENE_BYTES
    px, row_bytes = max(height * width, min(fit.center_crop**2, max_px)), 0
    # Which way up an image is shows when it is decoded; what cannot be fitted is refused then, too.
    sizes = (alignment.SIZE,) if fit.align else ((height, width), (width, height))
    for size in sizes:
        with suppress(GatewayError):
            fitted = fitting.plan(size, fit, card, max_px)
            px = max(px, fitted.whole[0] * fitted.whole[1])
            row_bytes = max(row_bytes, fitted.tiling.row_bytes if fitted.tiling else 0)
    return sent + pixel_bytes * px + targets * (3 * 3 * px + row_bytes)


def prepare(
    source: translation_service_pb2.TranslationSource,
    fit: translation_service_pb2.SourceFit,
    card: model_pb2.Model,
    at: str,
    max_px: int,
    aligner: Aligner,
) -> Prepared:
    """Decode a source, align its face or edit its objects, and fit it. Raises InvalidRequest or Refused."""
    takes_scenes = card.translation.HasField("label_map")
    if source.HasField("scene") != takes_scenes:
        wanted = "scene" if takes_scenes else "image"
        raise invalid(
            f"{at}.source", f"{card.name} takes {'a scene' if takes_scenes else 'an image'}: give {at}.{wanted}"
        )
    if takes_scenes and fit.align:
        raise invalid("fit.align", f"{card.name} takes scenes, and only images have faces to align")
    if takes_scenes:
        return _scene(source.scene, fit, card, f"{at}.scene", max_px)
    pixels = images.decode(source.image, f"{at}.image", max_px)
    if fit.align:
        pixels = aligner.align(pixels, f"{at}.image")
    size = pixels.shape[0], pixels.shape[1]
    fitted = fitting.plan(size, fit, card, max_px)
    shown = images.grey(pixels) if card.translation.grey else pixels
    seen = np.ascontiguousarray(fitted.apply(shown), dtype=np.uint8)
    return Prepared({"source": seen}, fitted, size, fitted.restore(seen).shape[:2], pixels, None)


def _scene(
    given: translation_service_pb2.Scene,
    fit: translation_service_pb2.SourceFit,
    card: model_pb2.Model,
    at: str,
    max_px: int,
) -> Prepared:
    scene = scenes.read(given, card, at, max_px)
    size = scene.labels.shape[0], scene.labels.shape[1]
    fitted = fitting.plan(size, fit, card, max_px)
    seen = Scene(
        np.asarray(fitted.apply(scene.labels), dtype=np.int64),
        np.asarray(fitted.apply(scene.instances), dtype=np.int64),
    )
    # Instances are numbered anew without gaps: only their equality matters, and features come in rows.
    _, rows = np.unique(seen.instances, return_inverse=True)
    tensors: dict[str, Tensor] = {
        "label_map": seen.labels.astype(np.uint8),
        "instance_map": rows.reshape(seen.instances.shape).astype(np.int32),
    }
    return Prepared(tensors, fitted, size, fitted.restore(seen.labels).shape[:2], None, seen)
