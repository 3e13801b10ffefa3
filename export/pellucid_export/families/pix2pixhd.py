"""pix2pixHD: Wang et al., "High-resolution image synthesis and semantic manipulation with conditional GANs", 2018.

A scene (labels, instances, and where it was trained with them the style features of instances) or an image becomes a
photograph. What a generator sees of a scene are planes: one a label, then edges between instances, then features.
"""

from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from pellucid.v1.model_pb2 import TASK_TRANSLATE, Model
from pellucid.v1.translation_pb2 import (
    FIT_MODE_NEAREST,
    RESAMPLING_BICUBIC,
    FeatureInput,
    LabelMapInput,
    Sizes,
    Translation,
)
from pellucid_export.containers import checkpoints, clusters_file, pix2pixhd_folder
from pellucid_export.containers.pix2pixhd_folder import Checkpoint, Generator
from pellucid_export.datasets import cityscapes
from pellucid_export.errors import CheckpointError, FamilyError
from pellucid_export.family import Family, Length, Network, Signature, Stage, Tensor
from pellucid_export.networks.colours import signed
from pellucid_export.networks.feature_encoder import FeatureEncoder
from pellucid_export.networks.pixels import PixelOutput, Pixels, image_tensor
from pellucid_export.networks.scene_planes import MAX_INSTANCES, edges, one_hot, painted

MAX_PX = 2 * 2048 * 1024
CLUSTERS = "clusters.json"

_INFERRED = -1
_COLOURS = 3
_ENCODER, _GENERATOR = "feature_encoder", "generator"
_MOST_LABELS = 256
# Graphs are compared on several images at once and warmed up with whole batches: of the usual size, those would hardly
# fit into memory.
_EXAMPLE_PX = 128 * 256
# Means of instances in [-1, 1].
_FEATURE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Options:
    """What can be chosen at export, and what the shapes of weights leave open.

    `label_nc`: the number of labels, 0 where the source is an image. -1 takes what edges and features leave of the
    network's planes, and an image where there are 3 planes and no features. `no_instance`: whether it was trained
    without edges. `epoch`: which files of a folder are read. `height` and `width`: the usual size; 0 stands for 512 x
    1024, or 1024 x 2048 of a local enhancer. `tiles`: whether scenes may be translated in tiles of that size, although
    norms then take the statistics of each.
    """

    pixels: Pixels = "uint8"
    label_nc: int = _INFERRED
    no_instance: bool = False
    epoch: str = "latest"
    height: int = 0
    width: int = 0
    tiles: bool = False


class Planes(NamedTuple):
    """What a generator's planes are; `labels` is 0 where they are an image."""

    labels: int
    edges: int
    features: int


class SceneTranslator(nn.Module):
    """Labels (N, H, W), and instances (N, H, W) and features (N, MAX_INSTANCES, F) where there are any, to `image`."""

    def __init__(self, generator: Generator, planes: Planes, pixels: Pixels) -> None:
        super().__init__()
        self.generator = generator
        self.planes = planes
        self.output = PixelOutput(pixels, generator.outputs)

    def forward(
        self,
        label_map: torch.Tensor,
        instance_map: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Paint a batch of scenes."""
        image: torch.Tensor = self.output(self.generator(self.seen(label_map, instance_map, features)))
        return image

    def seen(
        self, label_map: torch.Tensor, instance_map: torch.Tensor | None, features: torch.Tensor | None
    ) -> torch.Tensor:
        """The generator's planes (N, C, H, W)."""
        parts = [one_hot(label_map, self.planes.labels)]
        if instance_map is not None and self.planes.edges:
            parts.append(edges(instance_map))
        if instance_map is not None and features is not None:
            parts.append(painted(features, instance_map))
        return torch.cat(parts, dim=1)


class ColourTranslator(nn.Module):
    """Images `source` (N, H, W, 3), uint8, to `image` of the same size."""

    def __init__(self, generator: Generator, pixels: Pixels) -> None:
        super().__init__()
        self.generator = generator
        self.output = PixelOutput(pixels, generator.outputs)

    def forward(self, source: torch.Tensor) -> torch.Tensor:
        """Translate a batch of images."""
        image: torch.Tensor = self.output(self.generator(signed(source)))
        return image


def load(path: Path, options: Options) -> Network:
    """Read a generator, and with a folder its encoder and clusters; shapes tell all sizes but `Options`' own."""
    checkpoint = pix2pixhd_folder.read(path, options.epoch)
    planes = _planes(checkpoint, options)
    strange = [label for label in checkpoint.clusters if label >= planes.labels]
    if strange:
        raise CheckpointError(f"{path.name}: there are clusters of label {strange[0]}, but only {planes.labels} labels")
    multiple = max(part.multiple for part in (checkpoint.generator, checkpoint.encoder) if part is not None)
    size = _size(checkpoint.generator, multiple, options)
    height, width = _lengths(size, multiple)
    stages = [_painting(checkpoint.generator, planes, height, width, options.pixels)]
    if checkpoint.encoder is not None:
        stages.insert(0, _measuring(checkpoint.encoder, height, width))
    return Network(
        stages=tuple(stages),
        card=_card(checkpoint, planes, size, multiple, options),
        weights_digest=checkpoints.digest(checkpoint.weights),
        assets={CLUSTERS: clusters_file.to_json(checkpoint.clusters)} if checkpoint.clusters else {},
    )


def _planes(checkpoint: Checkpoint, options: Options) -> Planes:
    """What the generator's input channels are. Raises CheckpointError where they are not what options say."""
    total, features, labels = checkpoint.generator.inputs, checkpoint.features, options.label_nc
    edges = 0 if options.no_instance else 1
    if total == _COLOURS and features is None and labels in (_INFERRED, 0):
        return Planes(0, 0, 0)
    if labels == _INFERRED:
        labels = total - edges - (features or 0)
    rest = total - edges - labels
    if not 0 < labels <= _MOST_LABELS or rest < 0 or (features is not None and features != rest):
        raise CheckpointError(_misfit(total, labels, edges, features))
    return Planes(labels, edges, rest)


def _misfit(total: int, labels: int, edges: int, features: int | None) -> str:
    told = features or 0
    fits = [
        f"label_nc={total - told - count} no_instance={'false' if count else 'true'}"
        for count in (1, 0)
        if 0 < total - told - count <= _MOST_LABELS
    ]
    if total == _COLOURS and features is None:
        fits.append("label_nc=0 (an image)")
    told_by = "" if features is None else f" ({told} features by its encoder or clusters)"
    return (
        f"the generator takes {total} planes{told_by}, which are not {labels} labels, {edges} of edges and {told}"
        f" features; these options would fit: {' or '.join(fits) or 'none'}"
    )


def _size(generator: Generator, multiple: int, options: Options) -> tuple[int, int]:
    sizes = options.height or generator.usual_size[0], options.width or generator.usual_size[1]
    # Reflection needs two pixels where the network is narrowest.
    for name, side in zip(("height", "width"), sizes, strict=True):
        if side < 2 * multiple or side % multiple or sizes[0] * sizes[1] > MAX_PX:
            raise FamilyError(
                f"option '{name}' must be a multiple of {multiple} from {2 * multiple} on, height x width at most"
                f" {MAX_PX}, not {sizes[0]} x {sizes[1]}"
            )
    return sizes


def _lengths(size: tuple[int, int], multiple: int) -> tuple[Length, Length]:
    """Sides that vary, with examples of the usual size, or smaller ones of about its proportions."""
    scale = min(1.0, sqrt(_EXAMPLE_PX / (size[0] * size[1])))
    height, width = (max(2, int(side * scale) // multiple) * multiple for side in size)
    return Length("height", multiple, height), Length("width", multiple, width)


def _painting(generator: Generator, planes: Planes, height: Length, width: Length, pixels: Pixels) -> Stage:
    image = image_tensor(pixels, height, width)
    if not planes.labels:
        source = Tensor("source", "uint8", (height, width, 3), low=0, high=255)
        return Stage(_GENERATOR, ColourTranslator(generator, pixels).eval(), Signature((source,), (image,)))
    inputs = [Tensor("label_map", "uint8", (height, width), low=0, high=planes.labels - 1)]
    if planes.edges or planes.features:
        inputs.append(_instances(height, width))
    if planes.features:
        inputs.append(Tensor("features", "float32", (MAX_INSTANCES, planes.features), low=-1, high=1))
    module = SceneTranslator(generator, planes, pixels)
    return Stage(_GENERATOR, module.eval(), Signature(tuple(inputs), (image,)))


def _measuring(encoder: FeatureEncoder, height: Length, width: Length) -> Stage:
    source = Tensor("source", "uint8", (height, width, 3), low=0, high=255)
    shape = MAX_INSTANCES, encoder.size
    features = Tensor("features", "float32", shape, low=-1, high=1, tolerance=_FEATURE_TOLERANCE)
    return Stage(_ENCODER, encoder, Signature((source, _instances(height, width)), (features,)))


def _instances(height: Length, width: Length) -> Tensor:
    return Tensor("instance_map", "int32", (height, width), low=0, high=MAX_INSTANCES - 1)


def _card(checkpoint: Checkpoint, planes: Planes, size: tuple[int, int], multiple: int, options: Options) -> Model:
    is_cityscapes = planes.labels == len(cityscapes.LABELS)
    label_map = LabelMapInput(
        count=planes.labels,
        names=cityscapes.LABELS if is_cityscapes else [],
        palette=cityscapes.PALETTE if is_cityscapes else b"",
        instances=planes.edges > 0,
    )
    features = FeatureInput(
        size=planes.features,
        max_instances=MAX_INSTANCES,
        clusters_asset=CLUSTERS if checkpoint.clusters else "",
        encoder_stage=_ENCODER if checkpoint.encoder is not None else "",
    )
    sizes = Sizes(
        height_multiple=multiple,
        width_multiple=multiple,
        min_side=2 * multiple,  # the innermost residual blocks reflect a border
        max_px=MAX_PX,
        default_fit=FIT_MODE_NEAREST,
        resampling=RESAMPLING_BICUBIC,
        tiles=options.tiles,
    )
    return Model(
        task=TASK_TRANSLATE,
        height=size[0],
        width=size[1],
        translation=Translation(
            sizes=sizes,
            label_map=label_map if planes.labels else None,
            features=features if planes.features else None,
        ),
    )


FAMILY = Family(
    name="pix2pixhd",
    description="pix2pixHD (Wang et al. 2018), global generators and local enhancers, with or without style features",
    containers=(
        "generator (<epoch>_net_G.pth)",
        "folder with <epoch>_net_G.pth, and <epoch>_net_E.pth and features_clustered_*.npy where there are any",
    ),
    options=Options,
    load=load,
)
