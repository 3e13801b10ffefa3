import numpy as np
import pytest

from pellucid.v1.latent_pb2 import SPACE_W, SPACE_Z, LayerRange
from pellucid_export.axes import spaces
from pellucid_export.axes.errors import AxesError
from pellucid_export.axes.spaces import Region

pytestmark = pytest.mark.torch


def test_regions_are_told_by_the_name_of_a_space_and_two_layers() -> None:
    assert spaces.region("z") == Region(SPACE_Z)
    assert (spaces.region("w").layers, spaces.region("w").tensor) == (None, "style")
    assert spaces.region("w", "2-11") == Region(SPACE_W, 2, 11)
    assert spaces.region("w", "0-0").layers == LayerRange(first=0, last=0)


@pytest.mark.parametrize(
    ("space", "layers", "message"),
    [
        ("w+", "", r"space must be z or w, not 'w\+'"),
        ("z", "0-3", "of space w, not '0-3' of z"),
        ("w", "3-2", "not '3-2'"),
        ("w", "3", "not '3'"),
        ("w", "-1-3", "not '-1-3'"),
    ],
)
def test_other_spaces_and_layers_are_refused(space: str, layers: str, message: str) -> None:
    with pytest.raises(AxesError, match=message):
        spaces.region(space, layers)


def test_only_the_layers_of_the_region_move() -> None:
    styles, by = np.zeros((2, 4, 3), np.float32), np.array([[1.0, 2, 3], [0, -1, 0]])
    moved = Region(SPACE_W, 1, 2).moved(styles, by)
    assert moved[0].tolist() == [[0, 0, 0], [1, 2, 3], [1, 2, 3], [0, 0, 0]]
    assert moved[1, 2].tolist() == [0, -1, 0]
    assert Region(SPACE_W).moved(styles, by)[0].tolist() == [[1, 2, 3]] * 4
    assert not styles.any()
    assert Region().moved(styles[:, 0], by).tolist() == by.tolist()
