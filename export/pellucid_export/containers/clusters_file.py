"""pix2pixHD's features_clustered_*.npy, read without executing it: style features for the instances of each label.

It is a NumPy file of one object, a pickled dict from label to an array (clusters, features).
"""

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from pellucid_export.containers import pickled
from pellucid_export.errors import CheckpointError

Clusters = Mapping[int, npt.NDArray[np.float32]]
"""Features (clusters, size) by label."""

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read(path: Path) -> Clusters:
    """The clusters in a file, labels in ascending order.

    Raises CheckpointError, with the file's name, for a file that calls anything but NumPy's own constructors, has other
    content, or holds labels with different numbers of features.
    """
    try:
        return _clusters(_content(path.read_bytes()))
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error
    except CheckpointError as error:
        raise CheckpointError(f"{path.name}: {error}") from error


def to_json(clusters: Clusters) -> bytes:
    """A JSON object from each label, in decimal digits, to its clusters' features."""
    return json.dumps({str(label): rows.tolist() for label, rows in clusters.items()}).encode()


def _content(raw: bytes) -> Any:
    """The object in a NumPy file."""
    file = BytesIO(raw)
    try:
        shape, _, dtype = _HEADERS[npy.read_magic(file)](file)
    except Exception as error:
        # NOTE: NumPy documents no set of errors for broken headers; whatever it raises is one.
        raise CheckpointError(f"not a NumPy file: {error}") from error
    if shape != () or dtype != np.dtype(object):
        raise CheckpointError(f"a single object is expected, found an array {shape} of {dtype}")
    array = pickled.loads(raw[file.tell() :], pickled.ARRAYS)
    if not isinstance(array, np.ndarray) or array.shape != ():
        raise CheckpointError("a single object is expected, found something else in its pickle")
    return array.item()


def _clusters(content: Any) -> Clusters:
    if not isinstance(content, dict) or not content:
        raise CheckpointError(f"a dict from labels to clusters is expected, found {type(content).__name__}")
    strange = [label for label in content if not isinstance(label, int | np.integer) or label < 0]
    if strange:
        raise CheckpointError(f"labels are whole numbers from 0 on, found {strange[0]!r}")
    clusters = {int(label): _rows(int(label), content[label]) for label in sorted(content)}
    sizes = sorted({rows.shape[1] for rows in clusters.values()})
    if len(sizes) > 1:
        raise CheckpointError(f"labels have different numbers of features: {', '.join(map(str, sizes))}")
    return clusters


def _rows(label: int, rows: Any) -> npt.NDArray[np.float32]:
    if not isinstance(rows, np.ndarray) or rows.dtype.kind != "f" or rows.ndim != 2 or 0 in rows.shape:
        what = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else type(rows).__name__
        raise CheckpointError(f"label {label}: an array (clusters, features) of numbers is expected, found {what}")
    # Larger ones would not be finite in single precision.
    if not (np.abs(rows) <= np.finfo(np.float32).max).all():
        raise CheckpointError(f"label {label}: its clusters hold values that are not finite")
    return rows.astype(np.float32)
