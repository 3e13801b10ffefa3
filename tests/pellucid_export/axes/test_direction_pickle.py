import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid_export.axes import direction_pickle
from pellucid_export.axes.errors import AxesError

from .golden import TLGAN

pytestmark = pytest.mark.torch


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def write(path: Path, content: object, protocol: int = 3) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def test_the_published_layout_is_read() -> None:
    directions = direction_pickle.read(TLGAN / "feature_direction_20181002_044444.SYNTHETIC.pkl")
    expected = np.load(TLGAN / "feature_direction_synthetic_io.npz")
    assert directions.names == tuple(expected["names"])
    np.testing.assert_allclose(directions.rows, expected["direction"].T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("protocol", [3, 4])
def test_files_of_todays_numpy_are_read_and_their_directions_scaled(tmp_path: Path, protocol: int) -> None:
    path = write(tmp_path / "d.pkl", {"direction": np.diag([2.0, 5.0]), "name": ["a", "b"]}, protocol)
    np.testing.assert_array_equal(direction_pickle.read(path).rows, np.eye(2))


def test_a_pickle_that_would_run_code_is_refused_by_name_and_runs_nothing(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    path = write(tmp_path / "bad.pkl", {"direction": Calls(os.mkdir, str(victim)), "name": []})
    with pytest.raises(AxesError, match=r"bad.pkl: refused, it calls posix.mkdir; nothing of it was executed"):
        direction_pickle.read(path)
    assert not victim.exists()


@pytest.mark.parametrize("function", [eval, getattr, np.load, np.frombuffer])
def test_no_other_function_is_called_not_even_numpys(tmp_path: Path, function: Any) -> None:
    with pytest.raises(AxesError, match=r"refused, it calls \S+\.\w+;"):
        direction_pickle.read(write(tmp_path / "bad.pkl", Calls(function, "1")))


def test_references_outside_the_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.pkl").write_bytes(b"Psomewhere\n.")
    with pytest.raises(AxesError, match="an object outside the file"):
        direction_pickle.read(tmp_path / "bad.pkl")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "a dict with 'direction' and 'name'"),
        ({"direction": [1.0], "name": ["a"]}, r"floating-point array \(D, K\)"),
        ({"direction": np.eye(2), "name": ("a", "b")}, "a list of strings"),
        ({"direction": np.eye(2), "name": ["a"]}, "1 names for 2 directions"),
        ({"direction": np.zeros((2, 1)), "name": ["a"]}, "zero or not finite"),
        ({"direction": np.full((2, 1), np.nan), "name": ["a"]}, "zero or not finite"),
        ({"direction": np.array([[{}]]), "name": ["a"]}, "floating-point array"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(AxesError, match=message):
        direction_pickle.read(write(tmp_path / "d.pkl", content))


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.pkl").write_bytes(b"\x80\x03}q")
    with pytest.raises(AxesError, match=r"d.pkl: not a readable pickle"):
        direction_pickle.read(tmp_path / "d.pkl")
