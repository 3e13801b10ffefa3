"""pg-GAN: Karras, Aila, Laine, Lehtinen, "Progressive growing of GANs for improved quality, stability, and variation".

ICLR 2018. Tensors have genforce's names: two layers a resolution (`layer0` and `layer1` at 4 x 4, and so on), and for
every resolution an `output` to colours, of which a finished generator uses the last. Layers are normalised pixel by
pixel (section 4.2), and weights have an equalised learning rate (section 4.1).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from pellucid.v1.latent_pb2 import SPACE_Z
from pellucid.v1.model_pb2 import (
    OFFICIAL_SAMPLER_RANDN,
    PRIOR_NORMAL,
    PRIOR_SPHERE,
    TASK_GENERATE,
    ClassList,
    LatentPrior,
    LatentSpace,
    Model,
)
from pellucid_export.containers import checkpoints, genforce, tf_pggan, tf_pickle
from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError
from pellucid_export.family import Family, Network, Signature, Stage, Tensor
from pellucid_export.networks import layers
from pellucid_export.networks.growing import AS_STORED, Growth, growth
from pellucid_export.networks.layers import Convolution, PixelNorm, leaky
from pellucid_export.networks.pixels import PixelOutput, Pixels, image_tensor

_UNKNOWN = -1


@dataclass(frozen=True)
class Options:
    """What can be chosen at export, and what the shapes of weights may leave open.

    `lod`: level of detail of an unfinished training, 0 for a finished one; -1 takes the checkpoint's.
    `classes`: of genforce's files, how many of the first layer's inputs are a label; -1 where it has none.
    `fused`: of genforce's files, whether they were trained with `fused_scale`.
    """

    pixels: Pixels = "uint8"
    lod: float = AS_STORED
    classes: int = _UNKNOWN
    fused: Literal["auto", "yes", "no"] = "auto"


@dataclass(frozen=True)
class Plan:
    """Sizes of a generator: latent, classes, image channels, and the channels of every resolution from 4 x 4 on.

    `scales_latent_alone`: whether the latent is normalised before the label joins it, or only with it.
    """

    latent: int
    classes: int
    scales_latent_alone: bool
    channels: int
    widths: tuple[int, ...]

    @property
    def size(self) -> int:
        """Height and width of images in pixels."""
        return int(4 * 2 ** (len(self.widths) - 1))


class Layer(Convolution):
    """Pixel norm, upsampling where it doubles, convolution and leaky ReLU."""

    def __init__(self, before: int, after: int, kernel: int = 3, padding: int = 1, doubles: bool = False) -> None:
        super().__init__(before, after, kernel, padding=padding, doubles=doubles)
        self.norm = PixelNorm()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features to features."""
        return leaky(super().forward(self.norm(x)))


class Output(Convolution):
    """Pixel norm and a convolution to colours."""

    def __init__(self, before: int, channels: int) -> None:
        super().__init__(before, channels, kernel=1, gain=1.0)
        self.norm = PixelNorm()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features to an image in about [-1, 1]."""
        return super().forward(self.norm(x))


class Generator(nn.Module):
    """Latents (N, D), and labels (N, C) where there are classes, to images (N, H, W, 3)."""

    def __init__(self, plan: Plan, grown: Growth, pixels: Pixels) -> None:
        super().__init__()
        self.register_buffer("lod", torch.zeros(()))
        before = plan.latent + plan.classes
        for block, width in enumerate(plan.widths):
            first = Layer(before, width, doubles=True) if block else Layer(before, width, kernel=4, padding=3)
            self.add_module(f"layer{2 * block}", first)
            self.add_module(f"layer{2 * block + 1}", Layer(width, width))
            self.add_module(f"output{block}", Output(width, plan.channels))
            before = width
        self.norm = PixelNorm() if plan.scales_latent_alone else nn.Identity()
        self.pixels = PixelOutput(pixels, plan.channels)
        self._grown = grown

    def forward(self, latent: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        """Generate a batch of images."""
        x = latent if label is None else torch.cat([self.norm(latent), label], dim=1)
        x = x[:, :, None, None]
        features: list[torch.Tensor] = []
        for block in range(self._grown.in_use):
            x = self.get_submodule(f"layer{2 * block + 1}")(self.get_submodule(f"layer{2 * block}")(x))
            features.append(x)  # (N, C, 4 * 2^block, 4 * 2^block)
        outputs = [self.get_submodule(f"output{block}") for block in range(self._grown.blocks)]
        image: torch.Tensor = self.pixels(self._grown.image(features, outputs))  # (N, H, W, 3)
        return image


def load(path: Path, options: Options) -> Network:
    """Read a generator whose latent size, widths and resolution are told by the shapes of its weights."""
    state, plan = _from_tensorflow(path) if path.suffix == ".pkl" else _from_torch(path, options)
    _shape(state, "lod", 0)
    generator = Generator(plan, growth(len(plan.widths), options.lod, state["lod"]), options.pixels)
    checkpoints.load_strictly(generator, state, f"a pg-GAN of {plan.size} x {plan.size} pixels")
    layers.prepare(generator)
    label = (Tensor("label", "float32", (plan.classes,), low=0.0, high=1.0),) if plan.classes else ()
    signature = Signature(
        inputs=(Tensor("latent", "float32", (plan.latent,)), *label),
        outputs=(image_tensor(options.pixels, plan.size, plan.size),),
    )
    return Network((Stage("synthesis", generator.eval(), signature),), _card(plan), checkpoints.digest(state))


def _from_tensorflow(path: Path) -> tuple[State, Plan]:
    network = tf_pickle.read_generator(path)
    state = tf_pggan.state(network)
    return state, _plan(state, network.classes, scales_latent_alone=False)


def _from_torch(path: Path, options: Options) -> tuple[State, Plan]:
    state = genforce.read(path)
    if genforce.is_interfacegan(state):
        state = genforce.from_interfacegan(state)
    elif _is_fused(state, options.fused):
        upsampling = [f"layer{2 * block}.weight" for block in range(1, _blocks(state))]
        state |= {name: genforce.unfused(state[name].transpose(0, 1)) for name in upsampling}
    return state, _plan(state, _classes(state, options.classes), scales_latent_alone=True)


def _blocks(state: State) -> int:
    return genforce.blocks(state, "", "pg-GAN")


def _is_fused(state: State, option: str) -> bool:
    """Whether genforce's kernels are (in, out, 3, 3): where a layer narrows, its bias tells the axes apart."""
    first = [f"layer{2 * block}" for block in range(1, _blocks(state))]
    kernels = [(_shape(state, f"{layer}.weight", 4), _shape(state, f"{layer}.bias", 1)) for layer in first]
    if option != "auto":
        return option == "yes"
    told = {shape[1] == width for shape, (width,) in kernels if shape[0] != shape[1]}
    if kernels and not told:
        raise CheckpointError("no layer changes its width, so that fused kernels look like others: say fused=yes or no")
    return told == {True}


def _classes(state: State, option: int) -> int:
    after, before, *_ = _shape(state, "layer0.weight", 4)
    if option == _UNKNOWN and before != after:
        label = f", or classes={before - after} if latents have {after} numbers" if before > after else ""
        raise CheckpointError(
            f"layer0 takes {before} numbers and gives {after}: how many of them are a label? say classes=0{label}"
        )
    return 0 if option == _UNKNOWN else option


def _plan(state: State, classes: int, scales_latent_alone: bool) -> Plan:
    _, inputs, *_ = _shape(state, "layer0.weight", 4)
    outputs = [_shape(state, f"output{block}.weight", 4) for block in range(_blocks(state))]
    if not 0 <= classes < inputs:
        raise CheckpointError(f"classes is {classes}; layer0 takes {inputs} numbers, 0 to {inputs - 1} may be a label")
    if outputs[0][0] not in (1, 3):
        raise CheckpointError(f"not a pg-GAN: images have {outputs[0][0]} channels, 1 or 3 are expected")
    return Plan(inputs - classes, classes, scales_latent_alone, outputs[0][0], tuple(shape[1] for shape in outputs))


def _shape(state: State, name: str, axes: int) -> tuple[int, ...]:
    return genforce.shape(state, name, axes, "pg-GAN")


def _card(plan: Plan) -> Model:
    # Only the latent's direction counts, and edits are of one size on the sphere; beside a label the length counts.
    prior = PRIOR_NORMAL if plan.classes and not plan.scales_latent_alone else PRIOR_SPHERE
    names = [f"class_{index}" for index in range(plan.classes)]
    return Model(
        task=TASK_GENERATE,
        height=plan.size,
        width=plan.size,
        latent=LatentPrior(size=plan.latent, prior=prior, official_sampler=OFFICIAL_SAMPLER_RANDN),
        spaces=[LatentSpace(space=SPACE_Z, size=plan.latent, layers=1)],
        classes=ClassList(names=names) if names else None,
    )


FAMILY = Family(
    name="pggan",
    description="pg-GAN, progressively grown (Karras et al. 2018)",
    containers=(
        "genforce's .pth, published or of a training",
        "InterFaceGAN's .pth",
        "NVIDIA's TensorFlow pickle (.pkl), read without executing it",
    ),
    options=Options,
    load=load,
)
