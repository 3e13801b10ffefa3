"""Files of clusters as NumPy writes them, and others."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pellucid_export.containers import clusters_file
from pellucid_export.errors import CheckpointError

pytestmark = pytest.mark.torch

CONTENT = {7: np.array([[0.5, -0.25], [1.0, 0.1]]), 0: np.array([[0.75, 0.0]])}


class Attack:
    """Unpickling it would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.folder),)


def saved(folder: Path, content: object) -> Path:
    path = folder / "features_clustered_010.npy"
    np.save(path, content, allow_pickle=True)
    return path


def test_clusters_are_read_by_label_in_ascending_order(tmp_path: Path) -> None:
    found = clusters_file.read(saved(tmp_path, CONTENT))
    assert list(found) == [0, 7]
    np.testing.assert_array_equal(found[7], CONTENT[7].astype(np.float32))
    assert found[7].dtype == np.float32


def test_labels_may_be_numpys_numbers(tmp_path: Path) -> None:
    found = clusters_file.read(saved(tmp_path, {np.int64(3): np.ones((1, 2))}))
    assert [(label, type(label)) for label in found] == [(3, int)]


def test_a_file_of_python_2_is_read(tmp_path: Path) -> None:
    # Protocol 2, with byte strings: {3: np.array([[1.0, -2.0]])} in an array of no axes.
    dtype = b"cnumpy\ndtype\n(U\x02%bK\x00K\x01tR(K\x03U\x01%bNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK%btb"
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01%b%b\x89%btb"
    numbers = np.array([1.0, -2.0]).tobytes()
    inner = array % (b"(K\x01K\x02t", dtype % (b"f8", b"<", b"\x00"), b"U\x10" + numbers)
    outer = array % (b")", dtype % (b"O8", b"|", b"?"), b"]}K\x03" + inner + b"sa")
    path = saved(tmp_path, CONTENT)
    header = path.read_bytes().partition(b"\n")[0] + b"\n"
    path.write_bytes(header + b"\x80\x02" + outer + b".")
    found = clusters_file.read(path)
    assert {label: rows.tolist() for label, rows in found.items()} == {3: [[1.0, -2.0]]}


def test_json_holds_lists_by_decimal_label(tmp_path: Path) -> None:
    told = json.loads(clusters_file.to_json(clusters_file.read(saved(tmp_path, CONTENT))))
    assert list(told) == ["0", "7"]
    assert told["0"] == [[0.75, 0.0]]
    assert np.array_equal(np.array(told["7"], np.float32), CONTENT[7].astype(np.float32))


@pytest.mark.parametrize("inside", [False, True])
def test_a_file_that_would_run_a_command_is_refused_by_name_and_runs_nothing(tmp_path: Path, inside: bool) -> None:
    victim = tmp_path / "victim"
    path = saved(tmp_path, {0: Attack(victim)} if inside else Attack(victim))
    with pytest.raises(CheckpointError, match=r"features_clustered_010\.npy: refused, it calls .*mkdir; nothing"):
        clusters_file.read(path)
    assert not victim.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((2, 3)), r"a single object is expected, found an array \(2, 3\) of float64"),
        (np.array([{}, {}], object), r"found an array \(2,\) of object"),
        ([1], "found an array"),
        ({}, "a dict from labels to clusters is expected, found dict"),
        ("text", "found an array"),
        ({"car": np.zeros((1, 3))}, "labels are whole numbers from 0 on, found 'car'"),
        ({-1: np.zeros((1, 3))}, "found -1"),
        ({1: [[0.5]]}, r"label 1: an array \(clusters, features\) of numbers is expected, found list"),
        ({1: np.zeros(3)}, r"found float64 \(3,\)"),
        ({1: np.zeros((0, 3))}, r"found float64 \(0, 3\)"),
        ({1: np.zeros((2, 3), np.complex128)}, "found complex128"),
        ({1: np.full((1, 3), np.nan)}, "label 1: its clusters hold values that are not finite"),
        ({1: np.full((1, 3), 1e300)}, "not finite"),
        ({1: np.zeros((1, 3)), 2: np.zeros((1, 4))}, "labels have different numbers of features: 3, 4"),
    ],
)
def test_other_content_is_refused_with_what_was_found(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(CheckpointError, match=r"features_clustered_010\.npy: .*" + message):
        clusters_file.read(saved(tmp_path, content))


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: raw[:50],
        lambda raw: raw[: len(raw) // 2 + 60],
        lambda raw: raw.replace(b"\x01\x00", b"\x09\x00", 1),
        lambda raw: raw.replace(b"'descr'", b"'descr' +", 1),
        lambda raw: raw.replace(b"()", b"7 ", 1),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = saved(tmp_path, CONTENT)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=r"features_clustered_010\.npy"):
        clusters_file.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent\.npy: No such file"):
        clusters_file.read(tmp_path / "absent.npy")
