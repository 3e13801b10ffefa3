"""StyleGAN: Karras, Laine, Aila, "A style-based generator architecture for generative adversarial networks", CVPR 2019.

Two stages: mapping, and synthesis with truncation (appendix B) and noise in it.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pellucid_export.containers import checkpoints, genforce, tf_pickle, tf_stylegan
from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError
from pellucid_export.family import Family, Network, Stage
from pellucid_export.networks import layers
from pellucid_export.networks.growing import AS_STORED, growth
from pellucid_export.networks.pixels import PixelOutput, Pixels
from pellucid_export.networks.style_based import Noise, StyleBased, image_height
from pellucid_export.networks.stylegan_networks import Generator, Mapping, Synthesis
from pellucid_export.networks.synthesis_stage import SynthesisStage

# What the official scripts use.
_TRUNCATION = 0.7
_CUTOFF = 8
_SMALLEST_FUSED = 128
_LABELS = "mapping.label_weight"


@dataclass(frozen=True)
class Options:
    """What can be chosen at export.

    `noise`: "seeded" adds inputs for a request's own noise.
    `height`: rows of the image, the same number being cut off at the top and at the bottom; 0 leaves it square.
    `lod`: level of detail of an unfinished training, 0 for a finished one; -1 takes the checkpoint's.
    `fused`: of genforce's files, whether upsampling was fused in training; "auto" is from 128 pixels on, as published.
    """

    pixels: Pixels = "uint8"
    noise: Noise = "baked"
    height: int = 0
    lod: float = AS_STORED
    fused: Literal["auto", "yes", "no"] = "auto"


@dataclass(frozen=True)
class Plan:
    """Sizes of a generator: numbers before and after each product of the mapping network, and features of every block.

    With classes, half of what the first product takes is the latent, and half a label's embedding.
    """

    mapping: tuple[int, ...]
    classes: int
    channels: tuple[int, ...]
    colours: int

    @property
    def latent(self) -> int:
        """Numbers in z."""
        return self.mapping[0] // 2 if self.classes else self.mapping[0]

    @property
    def width(self) -> int:
        """Numbers in w."""
        return self.mapping[-1]

    @property
    def layers(self) -> int:
        """Layers that take a style."""
        return 2 * len(self.channels)

    @property
    def size(self) -> int:
        """Height and width of images in pixels."""
        return 4 << len(self.channels) - 1


def load(path: Path, options: Options) -> Network:
    """Read a generator whose sizes are told by the shapes of its weights."""
    state = _from_tensorflow(path) if path.suffix == ".pkl" else _from_torch(path, options.fused)
    plan = _plan(state)
    generator = _generator(state, plan, options.lod)
    declared = _declared(plan, options)
    output = PixelOutput(options.pixels, plan.colours)
    synthesis = SynthesisStage(generator.truncation, generator.synthesis, declared.image_height, output)
    return Network(
        stages=(
            Stage("mapping", generator.mapping.eval(), declared.mapping()),
            Stage("synthesis", synthesis.eval(), declared.synthesis()),
        ),
        card=declared.card(),
        weights_digest=checkpoints.digest(state),
    )


def _from_tensorflow(path: Path) -> State:
    network = tf_pickle.read_generator(path)
    return _plain(tf_stylegan.state(network), tf_stylegan.fused(network))


def _from_torch(path: Path, fused: str) -> State:
    state = genforce.read(path)
    if genforce.is_interfacegan(state):
        return genforce.from_interfacegan(state)
    return _plain(state, fused)


def _plain(state: State, fused: str) -> State:
    """The state with plain kernels in the place of those that are fused."""
    smallest = {"auto": _SMALLEST_FUSED, "yes": 0, "no": None}[fused]
    blocks = range(1, _blocks(state)) if smallest is not None else ()
    names = [f"synthesis.layer{2 * block}.weight" for block in blocks if 4 << block >= (smallest or 0)]
    return state | {name: genforce.unfused(state[name]) for name in names if _shape(state, name, 4)}


def _generator(state: State, plan: Plan, lod: float) -> Generator:
    grown = growth(len(plan.channels), lod, state["synthesis.lod"])
    mapping = Mapping(plan.mapping, plan.classes, plan.layers)
    generator = Generator(mapping, Synthesis(plan.channels, plan.width, grown, plan.colours), plan.width)
    checkpoints.load_strictly(generator, state, f"a StyleGAN of {plan.size} x {plan.size} pixels")
    layers.prepare(generator)
    return generator


def _declared(plan: Plan, options: Options) -> StyleBased:
    return StyleBased(
        latent=plan.latent,
        width=plan.width,
        layers=plan.layers,
        classes=plan.classes,
        image_height=image_height(options.height, plan.size),
        image_width=plan.size,
        noise_size=sum(2 * (4 << block) ** 2 for block in range(len(plan.channels))),
        noise=options.noise,
        pixels=options.pixels,
        truncation=_TRUNCATION,
        cutoff=min(_CUTOFF, plan.layers),
    )


def _plan(state: State) -> Plan:
    """Tell the sizes from the shapes. Raises CheckpointError where they are no StyleGAN's."""
    depth = sum(re.fullmatch(r"mapping\.dense\d+\.weight", name) is not None for name in state)
    products = [_shape(state, f"mapping.dense{index}.weight", 2) for index in range(max(depth, 1))]
    outputs = [_shape(state, f"synthesis.output{block}.weight", 4) for block in range(_blocks(state))]
    _shape(state, "synthesis.lod", 0)
    if outputs[0][0] not in (1, 3):
        raise CheckpointError(f"not a StyleGAN: images have {outputs[0][0]} channels, 1 or 3 are expected")
    return Plan(
        mapping=(products[0][1], *(shape[0] for shape in products)),
        classes=_shape(state, _LABELS, 2)[0] if _LABELS in state else 0,
        channels=tuple(shape[1] for shape in outputs),
        colours=outputs[0][0],
    )


def _blocks(state: State) -> int:
    return genforce.blocks(state, "synthesis.", "StyleGAN")


def _shape(state: State, name: str, axes: int) -> tuple[int, ...]:
    return genforce.shape(state, name, axes, "StyleGAN")


FAMILY = Family(
    name="stylegan",
    description="StyleGAN, the first (Karras et al. 2019)",
    containers=(
        "genforce's .pth, published or of a training",
        "InterFaceGAN's .pth",
        "NVIDIA's TensorFlow pickle (.pkl), read without executing it",
    ),
    options=Options,
    load=load,
)
