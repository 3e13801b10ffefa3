from pathlib import Path

import numpy as np
import PIL.Image

from pellucid.v1 import model_pb2, translation_pb2
from pellucid_client import Rendition
from pellucid_client.commands.source_files import SourceFile
from pellucid_client.commands.translation_sheet import TranslationSheet

RED, BLUE = (200, 0, 0), (0, 0, 200)


def test_labels_are_shown_in_the_card_s_colours(tmp_path: Path) -> None:
    rule = translation_pb2.LabelMapInput(count=3, palette=bytes([1, 1, 1, *RED, *BLUE]))
    card = model_pb2.Model(name="models/town", translation=translation_pb2.Translation(label_map=rule))
    sheet = TranslationSheet(card)
    for number, label in enumerate((1, 2)):
        labels = np.full((20, 40), label, np.uint8)
        PIL.Image.fromarray(labels).save(tmp_path / f"{number}.png")
        np.save(tmp_path / f"{number}.npy", labels)
    sheet.add(SourceFile(tmp_path / "0.png", "first"), [("", Rendition("raw", 1, 1, bytes([9, 9, 9])))])
    sheet.add(SourceFile(tmp_path / "1.npy", "second"), [("", Rendition("raw", 1, 1, bytes([8, 8, 8])))])
    drawn = np.asarray(sheet.draw())
    # A picture twice as wide as high fills half of its tile, and a square one all of it.
    counts = [(drawn == level).all(axis=2).sum() for level in (RED, BLUE, (9, 9, 9), (8, 8, 8))]
    assert counts == [128 * 64, 128 * 64, 128 * 128, 128 * 128]
