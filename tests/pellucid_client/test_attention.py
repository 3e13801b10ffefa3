import numpy as np
import pytest

from pellucid.v1 import image_pb2
from pellucid_client import AttentionMap, Image
from pellucid_client.attention_sheet import attention_sheet

LEFT = AttentionMap("left", 1, 2, bytes([255, 0]), 0.5)
RIGHT = AttentionMap("right", 1, 2, bytes([0, 255]), 0.9)
FINER = (AttentionMap("left", 2, 4, bytes(8), 0.0), AttentionMap("right", 2, 4, bytes([255] * 8), 1.0))


def image(*attention: AttentionMap) -> Image:
    return Image(
        index=0,
        format="raw",
        height=8,
        width=8,
        data=bytes((200, 100, 40)) * 64,
        recipe=image_pb2.Recipe(),
        attention=attention,
    )


def test_weights_are_rows_of_shares_of_the_largest() -> None:
    weights = AttentionMap("bird", 2, 3, bytes([0, 51, 102, 153, 204, 255]), 0.75).weights
    assert weights.dtype == np.float32
    assert weights == pytest.approx(np.array([[0, 0.15, 0.3], [0.45, 0.6, 0.75]]), abs=1e-7)
    with pytest.raises(ValueError, match="read-only"):
        weights[0, 0] = 1


def test_weights_are_decoded_once() -> None:
    assert LEFT.weights is LEFT.weights


def test_a_word_lights_up_what_it_drew_on() -> None:
    sheet = attention_sheet(image(LEFT, RIGHT))
    [row] = sheet.rows
    whole, left, right = (shown.array() for shown in row.images)
    assert (row.caption, sheet.columns) == ("2 x 1", ["", "left", "right"])
    assert (whole == (200, 100, 40)).all()
    assert (left[:, 0] == (200, 100, 40)).all()
    assert (left[:, 7] == (30, 15, 6)).all()
    assert np.array_equal(right, left[:, ::-1])


def test_every_resolution_has_a_row() -> None:
    sheet = attention_sheet(image(LEFT, RIGHT, *FINER))
    assert [row.caption for row in sheet.rows] == ["2 x 1", "4 x 2"]
    _, dark, bright = (shown.array() for shown in sheet.rows[1].images)
    assert (dark == (30, 15, 6)).all()
    assert (bright == (200, 100, 40)).all()
    assert sheet.draw().size == (sheet.width_px, sheet.height_px)
