"""Labelled latents, drawn by seed in chunks that are kept, so that a run that was killed goes on where it was."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pellucid_export.axes import latents
from pellucid_export.axes.errors import AxesError
from pellucid_export.axes.world import World

CHUNK = 500

_FINGERPRINT_FILE = "fingerprint.json"


@dataclass(frozen=True)
class Samples:
    """Latents (N, D) and their labels (N, K)."""

    latents: npt.NDArray[np.float32]
    labels: npt.NDArray[np.float64]


def fingerprint(world: World, seed: int) -> dict[str, object]:
    """Everything that decides what a sample's labels are."""
    return {
        "generator": world.generator.name,
        "weights": world.generator.digest,
        "graphs": list(world.generator.files),
        "extractors": {extractor.name: extractor.digest for extractor in world.extractors},
        "seed": seed,
        "chunk": CHUNK,
    }


def work_folder(world: World, seed: int, root: Path) -> Path:
    """Where the samples of this world and seed are kept under `root`."""
    content = json.dumps(fingerprint(world, seed), sort_keys=True)
    return root / f"{world.generator.name}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def sample(world: World, seed: int, count: int, folder: Path, advance: Callable[[int], None]) -> Samples:
    """Label `count` latents of the seeds `seed`, `seed` + 1, ...; chunks found in `folder` are not computed again.

    `advance` is told the number of samples done since it was last called. Raises AxesError where `folder` has
    chunks of another generator, extractor or seed.
    """
    _claim(folder, fingerprint(world, seed))
    drawn, labels = [], []
    for first in range(0, count, CHUNK):
        chunk = latents.draw(world.generator.prior, range(seed + first, seed + min(first + CHUNK, count)))
        path = folder / f"labels-{first:09d}-{len(chunk)}.npy"
        if not path.exists():
            _write(path, world.labels(chunk))
        drawn.append(chunk)
        labels.append(np.load(path, allow_pickle=False))
        advance(len(chunk))
    return Samples(np.concatenate(drawn), np.concatenate(labels))


def _claim(folder: Path, expected: dict[str, object]) -> None:
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


def _write(path: Path, labels: npt.NDArray[np.float64]) -> None:
    from io import BytesIO

    content = BytesIO()
    np.save(content, labels)
    _replace(path, content.getvalue())


def _replace(path: Path, content: bytes) -> None:
    """A file that is there is whole, whenever the process is killed."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, path)
