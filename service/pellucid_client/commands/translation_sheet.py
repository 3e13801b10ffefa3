"""A contact sheet of translations: a row a source, with its targets behind it."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps

from pellucid.v1 import model_pb2, translation_pb2
from pellucid_client.commands.scene_options import read_map
from pellucid_client.commands.source_files import SourceFile
from pellucid_client.image_input import upright
from pellucid_client.names import short_name
from pellucid_client.rendition import Rendition
from pellucid_client.sheet import ContactSheet, Row

_TILE_PX = 128


class TranslationSheet:
    """Gathers rows, and keeps of each picture no more than its tile."""

    def __init__(self, card: model_pb2.Model) -> None:
        self._card = card
        self._rows: list[Row] = []
        self._columns: list[str] = []

    def add(self, source: SourceFile, translations: Iterable[tuple[str, Rendition]]) -> None:
        """Add a source, and its translations by their targets' names."""
        named = list(translations)
        pictures = [self._shown(source.path), *(image.pil() for _, image in named)]
        self._rows.append(Row(source.stem, [_tile(picture) for picture in pictures]))
        self._columns = ["", *(name for name, _ in named)]

    def draw(self) -> PIL.Image.Image:
        """Return the sheet as a picture."""
        return ContactSheet(self._rows, self._columns, short_name(self._card.name), _TILE_PX).draw()

    def _shown(self, path: Path) -> PIL.Image.Image:
        if self._card.translation.HasField("label_map"):
            return _coloured(path, self._card.translation.label_map)
        with PIL.Image.open(path) as image:
            return upright(image)


def _coloured(path: Path, rule: translation_pb2.LabelMapInput) -> PIL.Image.Image:
    """Return a label map in the card's colours, or in greys where it has none."""
    given = read_map(path)
    labels = np.asarray(PIL.Image.open(given) if isinstance(given, Path) else given)  # (H, W)
    greys = np.linspace(0, 255, rule.count).astype(np.uint8)
    palette = np.frombuffer(rule.palette, np.uint8).reshape(-1, 3) if rule.palette else greys[:, None].repeat(3, axis=1)
    return PIL.Image.fromarray(palette[labels])


def _tile(picture: PIL.Image.Image) -> Rendition:
    square = PIL.ImageOps.pad(picture, (_TILE_PX, _TILE_PX), PIL.Image.Resampling.LANCZOS, "white")
    return Rendition("raw", _TILE_PX, _TILE_PX, square.tobytes())
