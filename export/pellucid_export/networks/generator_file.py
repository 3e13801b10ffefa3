"""Files of the generators that the code of CycleGAN and pix2pix writes: `<epoch>_net_G.pth` and the like.

They are bare state dicts; the shapes in them tell the whole network.
"""

import re
from pathlib import Path
from typing import Literal

from pellucid_export.containers import checkpoints
from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError
from pellucid_export.networks import norms, resnet_generator, unet_generator
from pellucid_export.networks.resnet_generator import ResnetGenerator
from pellucid_export.networks.translator import LAB, Generator
from pellucid_export.networks.unet_generator import UnetGenerator

Statistics = Literal["image", "running"]
"""What batch norms normalise with: the statistics of each image, or those of training."""

# DataParallel's and torch.compile's.
_WRAPPERS = re.compile(r"^(?:module\.|_orig_mod\.)+")
_COLOURS = (1, 3)
_DISCRIMINATORS = ("model.0.weight", "net.0.weight")


def read(path: Path, statistics: Statistics) -> tuple[Generator, State]:
    """The generator in a file, in eval mode, and its weights. Raises CheckpointError."""
    state = {_WRAPPERS.sub("", name): tensor for name, tensor in checkpoints.load_state(path).items()}
    try:
        generator = _generator(state)
        norm = generator.layout.norm
        if norm == "instance":
            state = norms.without_statistics(state)
        if statistics == "running" and norm != "batch":
            raise CheckpointError("option 'statistics' is running, but there are no batch norms that have them")
        checkpoints.load_strictly(generator, state, f"a {generator}, norm {norm}")
    except CheckpointError as error:
        raise CheckpointError(f"{path.name}: {error}") from error
    if statistics == "image":
        norms.take_image_statistics(generator)
    return generator.eval(), state


def _generator(state: State) -> Generator:
    """An empty generator of the kind and sizes that the weights have."""
    if f"{unet_generator.FIRST}.weight" in state:
        unet = unet_generator.Layout.of(state)
        _check(unet.inputs, unet.outputs)
        return UnetGenerator(unet)
    if f"{resnet_generator.FIRST}.weight" in state:
        resnet = resnet_generator.Layout.of(state)
        _check(resnet.inputs, resnet.outputs)
        return ResnetGenerator(resnet)
    hint = "; this is a discriminator, a net_G is needed" if any(name in state for name in _DISCRIMINATORS) else ""
    raise CheckpointError(
        f"neither a ResNet generator ({resnet_generator.FIRST}.weight) nor a U-Net ({unet_generator.FIRST}.weight):"
        f" found {', '.join(sorted(state)[:5])}{hint}"
    )


def _check(inputs: int, outputs: int) -> None:
    is_coloured = inputs in _COLOURS and outputs in _COLOURS
    if not is_coloured and (inputs, outputs) != LAB:
        raise CheckpointError(
            f"its images have {inputs} channels before and {outputs} after; 1 and 3 are read, grey and RGB, and"
            f" {LAB[0]} before with {LAB[1]} after, which is colourisation"
        )
