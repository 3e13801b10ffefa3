"""Labels that were computed, kept in a folder, so that a run that was killed goes on where it was."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pellucid_export.axes.errors import AxesError
from pellucid_export.axes.world import World

Labels = npt.NDArray[np.float64]

CHUNK = 500
"""Images whose labels are kept together."""

_FINGERPRINT_FILE = "fingerprint.json"


def fingerprint(world: World, seed: int) -> dict[str, object]:
    """Everything that decides what the labels of images are; the space that axes lie in is not part of it."""
    generator = world.generator
    return {
        "generator": generator.name,
        "weights": generator.digest,
        "graphs": list(generator.files),
        "conditions": list(generator.conditions.said),
        "extractors": {extractor.name: extractor.digest for extractor in world.extractors},
        "seed": seed,
        "chunk": CHUNK,
    }


def work_folder(world: World, seed: int, root: Path) -> Path:
    """Where the labels of this world and seed are kept under `root`."""
    content = json.dumps(fingerprint(world, seed), sort_keys=True)
    return root / f"{world.generator.name}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


class Ledger:
    """A folder of labels that belongs to what a fingerprint says. Raises AxesError where it belongs to another."""

    def __init__(self, folder: Path, owner: Mapping[str, object]) -> None:
        self._folder = folder
        _claim(folder, owner)

    def labels(self, name: str, compute: Callable[[], Labels]) -> Labels:
        """The labels kept under a name; where there are none, those that are computed."""
        path = self._folder / f"labels-{name}.npy"
        if not path.exists():
            content = BytesIO()
            np.save(content, compute())
            _replace(path, content.getvalue())
        found: Labels = np.load(path, allow_pickle=False)
        return found


def _claim(folder: Path, expected: Mapping[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _FINGERPRINT_FILE
    if not path.exists():
        if any(folder.glob("labels-*.npy")):
            raise AxesError(f"{folder} holds labels of unknown origin: choose another folder")
        _replace(path, json.dumps(expected, indent=2).encode())
    found = json.loads(path.read_text())
    different = [key for key in expected if found.get(key) != expected[key]]
    if different:
        raise AxesError(f"{folder} holds labels of another {', '.join(different)}: choose another folder")


def _replace(path: Path, content: bytes) -> None:
    """A file that is there is whole, whenever the process is killed."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, path)
