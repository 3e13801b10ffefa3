"""TL-GAN's pickles of feature directions, read without executing them.

Such a file is a dict of `direction`, a float array (D, K) with a feature in each column, and `name`, K strings.
A pickle is a program; of its calls only those that rebuild NumPy arrays of plain numbers are carried out.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid_export.axes.errors import AxesError
from pellucid_export.containers import pickled
from pellucid_export.errors import CheckpointError


@dataclass(frozen=True)
class Directions:
    """Feature directions: `names` and as many unit rows (K, D)."""

    names: tuple[str, ...]
    rows: npt.NDArray[np.float64]


def read(path: Path) -> Directions:
    """Read the file; rows are scaled to length 1.

    Raises AxesError, with the file's name, for a pickle that calls anything but NumPy's array constructors and for
    one with other content.
    """
    try:
        content = pickled.read(path, pickled.ARRAYS)
    except CheckpointError as error:
        raise AxesError(str(error)) from error
    return _checked(path.name, content)


def _checked(file: str, content: Any) -> Directions:
    if not isinstance(content, dict) or not {"direction", "name"} <= set(content):
        raise AxesError(f"{file}: a dict with 'direction' and 'name' is expected")
    array, names = content["direction"], content["name"]
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or array.ndim != 2:
        raise AxesError(f"{file}: 'direction' must be a floating-point array (D, K)")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise AxesError(f"{file}: 'name' must be a list of strings")
    if len(names) != array.shape[1]:
        raise AxesError(f"{file}: {len(names)} names for {array.shape[1]} directions")
    lengths = np.linalg.norm(array.astype(np.float64), axis=0)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise AxesError(f"{file}: a direction is zero or not finite")
    return Directions(tuple(names), np.ascontiguousarray((array.astype(np.float64) / lengths).T))
