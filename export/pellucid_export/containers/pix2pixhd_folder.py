"""pix2pixHD's files: `<epoch>_net_G.pth`, alone or in the folder of an experiment.

Beside it the folder may have `<epoch>_net_E.pth`, which measures style features in photographs, and
`features_clustered_<number>.npy`, from which they are chosen.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from pellucid_export.containers import checkpoints, clusters_file
from pellucid_export.containers.checkpoints import State
from pellucid_export.containers.clusters_file import Clusters
from pellucid_export.errors import CheckpointError
from pellucid_export.networks import global_generator, local_enhancer, norms
from pellucid_export.networks.feature_encoder import FeatureEncoder
from pellucid_export.networks.global_generator import GlobalGenerator
from pellucid_export.networks.local_enhancer import LocalEnhancer

Generator = GlobalGenerator | LocalEnhancer

_CLUSTERS = "features_clustered_*.npy"
_COLOURS = (1, 3)
_DISCRIMINATORS = ("scale0_layer0.0.weight", "layer0.0.weight")


@dataclass(frozen=True)
class Checkpoint:
    """Networks filled with their weights, in eval mode; no clusters where there is no file of them."""

    generator: Generator
    encoder: FeatureEncoder | None
    clusters: Clusters
    weights: State

    @property
    def features(self) -> int | None:
        """Numbers of an instance's features, where the encoder or the clusters tell it."""
        if self.encoder is not None:
            return self.encoder.size
        return next((rows.shape[1] for rows in self.clusters.values()), None)


def read(path: Path, epoch: str) -> Checkpoint:
    """Read a generator's file, or a folder. Raises CheckpointError."""
    generator_path = _generator_path(path, epoch)
    generator, weights = _generator(generator_path)
    if not path.is_dir():
        return Checkpoint(generator, None, {}, weights)
    encoder, measuring = _encoder(path / f"{epoch}_net_E.pth")
    clusters = _clusters(path)
    checkpoint = Checkpoint(generator, encoder, clusters, weights | measuring | _tensors(clusters))
    sizes = {rows.shape[1] for rows in clusters.values()} | {checkpoint.features}
    if len(sizes) > 1:
        raise CheckpointError(
            f"{path.name}: the encoder gives {checkpoint.features} features, and the clusters have"
            f" {next(iter(clusters.values())).shape[1]}"
        )
    return checkpoint


def _generator_path(path: Path, epoch: str) -> Path:
    if not path.is_dir():
        return path
    if not (path / f"{epoch}_net_G.pth").is_file():
        found = ", ".join(sorted(file.name for file in path.glob("*_net_G.pth"))) or "none"
        raise CheckpointError(
            f"{path.name}: {epoch}_net_G.pth is missing (generators found: {found}); option 'epoch' chooses others"
        )
    return path / f"{epoch}_net_G.pth"


def _generator(path: Path) -> tuple[Generator, State]:
    state = _state(path)
    try:
        generator = _empty(state)
        if generator.outputs not in _COLOURS:
            raise CheckpointError(f"its images have {generator.outputs} channels; 1 and 3 are read, grey and RGB")
        checkpoints.load_strictly(generator, state, f"a {generator}")
    except CheckpointError as error:
        raise CheckpointError(f"{path.name}: {error}") from error
    return generator.eval(), {f"generator.{name}": tensor for name, tensor in state.items()}


def _empty(state: State) -> Generator:
    if local_enhancer.FIRST in state:
        return LocalEnhancer.of(state)
    if global_generator.FIRST in state:
        return GlobalGenerator.of(state)
    hint = "; this is a discriminator, a net_G is needed" if any(name in state for name in _DISCRIMINATORS) else ""
    raise CheckpointError(
        f"not a generator of pix2pixHD: {global_generator.FIRST} is expected, found"
        f" {', '.join(sorted(state)[:5])}{hint}"
    )


def _encoder(path: Path) -> tuple[FeatureEncoder | None, State]:
    if not path.is_file():
        return None, {}
    state = _state(path)
    try:
        encoder = FeatureEncoder.of(state)
        checkpoints.load_strictly(encoder, state, f"an encoder of {encoder.size} features")
    except CheckpointError as error:
        raise CheckpointError(f"{path.name}: {error}") from error
    return encoder.eval(), {f"encoder.{name}": tensor for name, tensor in state.items()}


def _state(path: Path) -> State:
    # Statistics of training are never used: norms take each image's own.
    return norms.without_statistics(checkpoints.load_state(path))


def _clusters(folder: Path) -> Clusters:
    files = sorted(folder.glob(_CLUSTERS))
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise CheckpointError(f"{folder.name}: one file of clusters is expected, found {names}")
    return clusters_file.read(files[0]) if files else {}


def _tensors(clusters: Clusters) -> State:
    return {f"clusters.{label}": torch.from_numpy(rows) for label, rows in clusters.items()}
