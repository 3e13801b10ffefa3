import numpy as np

from pellucid.v1 import image_pb2
from pellucid_client import Image
from pellucid_client.sheet import ContactSheet, Row, grid

WHITE = (255, 255, 255)


def flat(colour: tuple[int, int, int], px: int = 4, seed: int = 0, index: int = 0) -> Image:
    recipe = image_pb2.Recipe(model="models/toy", seed=seed)
    return Image(index=index, format="raw", height=px, width=px, data=bytes(colour) * px * px, recipe=recipe)


RED, GREEN, BLUE = flat((250, 0, 0)), flat((0, 250, 0), px=8), flat((0, 0, 250))
SHEET = ContactSheet(
    [Row("first"), Row("a", [RED, GREEN]), Row("b", [BLUE, RED])], ["-1", "+1"], "title", tile_px=32, gap_px=3
)


def test_every_tile_is_filled_with_its_image_and_nothing_else() -> None:
    drawn = np.asarray(SHEET.draw())
    for row, column, colour in [(1, 0, (250, 0, 0)), (1, 1, (0, 250, 0)), (2, 0, (0, 0, 250)), (2, 1, (250, 0, 0))]:
        left, top, right, bottom = SHEET.tile(row, column)
        assert (right - left, bottom - top) == (32, 32)
        assert (drawn[top:bottom, left:right] == colour).all()
        assert (drawn[bottom : bottom + 3, left:right] == WHITE).all()


def test_tiles_stand_in_rows_and_columns_with_gaps() -> None:
    left, top, right, _ = SHEET.tile(1, 0)
    assert SHEET.tile(1, 1)[:2] == (right + 3, top)
    assert SHEET.tile(2, 0)[:2] == (left, top + 35)


def test_the_sheet_is_as_large_as_it_says_and_holds_all_tiles() -> None:
    assert SHEET.draw().size == (SHEET.width_px, SHEET.height_px)
    _, _, right, bottom = SHEET.tile(2, 1)
    assert right <= SHEET.width_px - 8
    assert bottom <= SHEET.height_px - 8


def test_captions_stand_left_of_their_rows_and_above_their_columns() -> None:
    drawn = np.asarray(SHEET.draw()).min(axis=2)
    left, top, right, bottom = SHEET.tile(1, 0)
    assert (drawn[top:bottom, :left] < 128).any()
    assert (drawn[: SHEET.tile(1, 0)[1], left:right] < 128).any()
    bare = ContactSheet([Row("", [RED])], tile_px=32)
    drawn = np.asarray(bare.draw()).min(axis=2)
    left, top, right, bottom = bare.tile(0, 0)
    drawn = np.delete(np.delete(drawn, np.s_[top:bottom], axis=0), np.s_[left:right], axis=1)
    assert (drawn == 255).all()


def test_a_grid_reads_like_a_page() -> None:
    images = [flat((k, 0, 0), seed=k, index=k) for k in range(5)]
    sheet = grid(images, across=2)
    assert [row.caption for row in sheet.rows] == ["seed 0", "seed 2", "seed 4"]
    assert [[image.index for image in row.images] for row in sheet.rows] == [[0, 1], [2, 3], [4]]
