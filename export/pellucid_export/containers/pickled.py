"""Pickles, read without executing them.

A pickle is a program. Of its calls only those are carried out that a caller names, each by a stand-in of ours; all
others are refused by name before anything happens.
"""

import pickle
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core import multiarray

from pellucid_export.errors import CheckpointError

Globals = Mapping[str, Callable[..., Any]]
"""What stands in for a global of a pickle, by its dotted name."""

ARRAYS: Globals = {
    **{
        f"numpy.{core}.multiarray.{name}": getattr(multiarray, name)
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    },
    "numpy.ndarray": np.ndarray,
    "numpy.dtype": np.dtype,
}
"""What rebuilds NumPy's arrays, scalars and types."""


class Record:
    """Stands in for a class of which only the state is wanted."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        """Keep what the pickle says."""
        self.state = state


class _Unpickler(pickle.Unpickler):
    def __init__(self, content: bytes, known: Globals) -> None:
        # Python 2 wrote arrays as byte strings, which latin1 keeps as they are.
        super().__init__(BytesIO(content), encoding="latin1")
        self._known = known

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in self._known:
            raise CheckpointError(f"refused, it calls {module}.{name}; nothing of it was executed")
        return self._known[f"{module}.{name}"]

    def persistent_load(self, pid: Any) -> Any:
        raise CheckpointError(f"refused, it refers to an object outside the file ({pid!r})")


def read(path: Path, known: Globals) -> Any:
    """Unpickle a file with no other globals than `known`.

    Raises CheckpointError, with the file's name, for a file that cannot be read and for one that calls anything else.
    """
    try:
        return loads(path.read_bytes(), known)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error
    except CheckpointError as error:
        raise CheckpointError(f"{path.name}: {error}") from error


def loads(content: bytes, known: Globals) -> Any:
    """Unpickle bytes as `read` does a file."""
    try:
        return _Unpickler(content, known).load()
    except CheckpointError:
        raise
    except Exception as error:
        # NOTE: unpickling broken bytes may raise nearly anything, and pickle documents no complete list.
        raise CheckpointError(f"not a readable pickle: {error}") from error
