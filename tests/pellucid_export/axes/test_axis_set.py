from pathlib import Path

import numpy as np
import pytest

from pellucid.v1.axis_pb2 import Axis, AxisSet, Entanglement
from pellucid.v1.latent_pb2 import SPACE_W, SPACE_Z
from pellucid_export.axes import axis_set
from pellucid_export.axes.errors import AxesError

pytestmark = pytest.mark.torch

SET = AxisSet(
    name="s",
    axes=[
        Axis(name="a", intercept=0.5, entanglement=[Entanglement(axis="b", effect_locked=float("nan"))]),
        Axis(name="b"),
    ],
)
MIXED = AxisSet(name="s", axes=[Axis(name="a", space=SPACE_Z), Axis(name="b", space=SPACE_W)])
DIRECTIONS = np.eye(2, 5)


def test_a_set_comes_back_as_it_was_written(tmp_path: Path) -> None:
    file = axis_set.write(tmp_path, SET, DIRECTIONS)
    assert file == tmp_path / "axes" / "s.safetensors"
    found, directions = axis_set.read(file)
    assert str(found) == str(SET)
    assert not found.axes[1].HasField("intercept")
    assert directions.dtype == np.float64
    np.testing.assert_array_equal(directions, DIRECTIONS)


def test_a_set_is_never_overwritten_and_nothing_else_is_left_behind(tmp_path: Path) -> None:
    file = axis_set.write(tmp_path, SET, DIRECTIONS)
    before = file.read_bytes()
    with pytest.raises(AxesError, match="never changed, only superseded"):
        axis_set.write(tmp_path, SET, -DIRECTIONS)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["s.safetensors"]


@pytest.mark.parametrize(
    ("described", "directions", "message"),
    [
        (SET, np.eye(3, 5), "3 directions for 2 axes"),
        (SET, 2 * DIRECTIONS, "whose length is not 1"),
        (AxisSet(name="../s", axes=SET.axes), DIRECTIONS, "'../s' is no name"),
        (AxisSet(name="s", axes=[Axis(name="a b"), Axis(name="c")]), DIRECTIONS, "'a b' is no name"),
        (AxisSet(name="s", axes=[Axis(name="a"), Axis(name="a")]), DIRECTIONS, "several axes called a"),
        (MIXED, DIRECTIONS, r"axes in SPACE_Z \(a\) and SPACE_W \(b\); those of one set lie in one space"),
    ],
)
def test_what_does_not_fit_is_not_written(
    tmp_path: Path, described: AxisSet, directions: axis_set.Directions, message: str
) -> None:
    with pytest.raises(AxesError, match=message):
        axis_set.write(tmp_path, described, directions)
    assert not (tmp_path / "axes").exists()


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(AxesError, match=r"x.safetensors: not a file of axes"):
        axis_set.read(tmp_path / "x.safetensors")
