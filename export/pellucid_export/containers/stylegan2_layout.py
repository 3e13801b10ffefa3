"""StyleGAN 2 in the files of stylegan2-ada-pytorch and of genforce, under the names of the former.

Every block `synthesis.b{r}` has convolutions `conv0` (which doubles; not in the first block) and `conv1`, and `torgb`.
genforce counts layers instead, keeps the doubling kernels turned by 180 degrees, and adds 1 to every style's bias when
it runs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, sqrt
from pathlib import Path

import torch

from pellucid_export.containers import checkpoints, genforce, snapshot_pickle
from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError
from pellucid_export.networks.modulation import upsampling_filter

W_AVERAGE = "truncation.w_avg"

_WRAPPERS = ("G_ema", "models", "generator_smooth", "generator", "state_dict")
_WHAT = "StyleGAN 2 of stylegan2-ada-pytorch or genforce"
_LARGEST_PX = 4096

# What a snapshot says of its layers, where it must be so.
_BUILT = (
    (r"synthesis\.b\d+\.architecture", "skip"),
    (r"(mapping\.fc\d+|synthesis\.b\d+\.conv\d)\.activation", "lrelu"),
    (r".+\.(affine|embed)\.activation", "linear"),
    (r"mapping\.fc\d+\.bias_gain", 0.01),
)

# genforce's names of what a layer has.
_PARTS = {"noise": "noise_const", "style.weight": "affine.weight", "style.bias": "affine.bias"}


@dataclass(frozen=True)
class Checkpoint:
    """A generator's tensors, and the bound of its activations, 0 for none."""

    state: State
    clamp: float

    def digest(self) -> str:
        """The digest of both: the bound is part of what was trained."""
        bound = {"conv_clamp": torch.tensor(self.clamp)} if self.clamp else {}
        return checkpoints.digest(self.state | bound)


@dataclass(frozen=True)
class Plan:
    """Sizes of a generator: Z, classes and their embedding, the mapping's layers, W, image channels, and the channels
    of every resolution from 4 x 4 on.
    """

    latent: int
    classes: int
    embedding: int
    hidden: int
    depth: int
    width: int
    colours: int
    widths: tuple[int, ...]

    @property
    def size(self) -> int:
        """Height and width of images in pixels."""
        return 2 << len(self.widths)

    @property
    def layers(self) -> int:
        """Layers that take a style; the colours of a block take that of the next block's first convolution."""
        return 2 * len(self.widths)


def read(path: Path, clamp: float) -> Checkpoint:
    """A snapshot (.pkl) or a state dict; `clamp` is for files that do not tell. Raises CheckpointError."""
    if path.suffix == ".pkl":
        network = snapshot_pickle.read(path)
        return Checkpoint(_without_filters(network.state), _clamp(network.settings))
    state = checkpoints.load_state(path, _WRAPPERS)
    if any(name.startswith("synthesis.early_layer.") for name in state):
        state = _from_genforce(state)
    return Checkpoint(_without_filters(state), clamp)


def plan(state: State) -> Plan:
    """The sizes that the shapes tell. Raises CheckpointError where it is another network."""
    found = (re.fullmatch(r"synthesis\.b(\d{1,4})\.conv1\.weight", name) for name in state)
    sizes = sorted(int(block[1]) for block in found if block)
    if len(sizes) < 2 or sizes != [4 << index for index in range(len(sizes))] or sizes[-1] > _LARGEST_PX:
        raise CheckpointError(
            f"not a {_WHAT}: resolutions 4, 8, ... up to {_LARGEST_PX} are expected, found {sizes or 'none'}"
            f" among the keys {', '.join(sorted(state)[:5])}"
        )
    embedding, classes = _shape(state, "mapping.embed.weight", 2) if "mapping.embed.weight" in state else (0, 0)
    hidden, inputs = _shape(state, "mapping.fc0.weight", 2)
    colours = _shape(state, "synthesis.b4.torgb.weight", 4)[0]
    if inputs <= embedding or colours not in (1, 3):
        raise CheckpointError(
            f"not a {_WHAT}: latents of {inputs - embedding} numbers, images of {colours} channels;"
            " at least 1, and 1 or 3, are expected"
        )
    return Plan(
        latent=inputs - embedding,
        classes=classes,
        embedding=embedding,
        hidden=hidden,
        depth=sum(re.fullmatch(r"mapping\.fc\d+\.weight", name) is not None for name in state),
        width=_shape(state, W_AVERAGE, 1)[0],
        colours=colours,
        widths=tuple(_shape(state, f"synthesis.b{size}.conv1.weight", 4)[0] for size in sizes),
    )


def _shape(state: State, name: str, axes: int) -> tuple[int, ...]:
    shape = genforce.shape(state, name, axes, _WHAT)
    if 0 in shape:
        raise CheckpointError(f"not a {_WHAT}: {name} is {shape}")
    return shape


def _clamp(settings: Mapping[str, object]) -> float:
    """The bound of a snapshot's layers. Raises CheckpointError for anything built in another way."""
    for name, value in settings.items():
        for pattern, wanted in _BUILT:
            if re.fullmatch(pattern, name) and value != wanted:
                raise CheckpointError(f"the snapshot's {name} is {value!r}; only {wanted!r} can be exported")
    bounds = {value for name, value in settings.items() if name.endswith(".conv_clamp")}
    bound = (bounds.pop() if len(bounds) == 1 else None) or 0
    if bounds or not isinstance(bound, int | float) or not 0 <= bound < inf:
        raise CheckpointError("the snapshot's layers have different conv_clamp; one bound for all can be exported")
    return float(bound)


def _without_filters(state: State) -> State:
    """The weights without the low-pass filters, which are stored with every layer but are always the same.

    Also gives the average W the name under which both codes' generators keep it here.
    """
    kept: State = {}
    for name, tensor in state.items():
        if not name.endswith((".resample_filter", ".kernel")):
            kept[W_AVERAGE if name == "mapping.w_avg" else name] = tensor
        elif not _is_known_filter(tensor):
            raise CheckpointError(f"{name} is not the filter [1, 3, 3, 1], the only one that can be exported")
    return kept


def _is_known_filter(tensor: torch.Tensor) -> bool:
    expected = upsampling_filter()[0, 0]
    kernel = tensor.float().squeeze()
    return kernel.shape == expected.shape and torch.allclose(kernel / kernel.sum(), expected / expected.sum())


def _from_genforce(state: State) -> State:
    return {_renamed(name): _rearranged(name, tensor) for name, tensor in state.items()}


def _renamed(name: str) -> str:
    """stylegan2-ada-pytorch's name of genforce's tensor; layer 0 is at 4 x 4, 1 and 2 at 8 x 8, and so on."""
    if name == "synthesis.early_layer.const":
        return "synthesis.b4.const"
    found = re.fullmatch(r"synthesis\.(layer|output)(\d\d?)\.(.+)", name)
    if found is None:
        return re.sub(r"^mapping\.dense", "mapping.fc", name)
    index, part = int(found[2]), _PARTS.get(found[3], found[3])
    if found[1] == "output":
        return f"synthesis.b{4 << index}.torgb.{part}"
    return f"synthesis.b{4 << (index + 1) // 2}.conv{1 - index % 2}.{part}"


def _rearranged(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if name.endswith(".const"):
        return tensor.squeeze(0)
    if name.endswith(".noise"):
        return tensor.squeeze(0).squeeze(0)
    if name.endswith(".style.bias"):
        return tensor + 1
    layer = re.fullmatch(r"synthesis\.layer(\d\d?)\.weight", name)
    if layer is None or tensor.ndim != 4 or 0 in tensor.shape:
        return tensor
    # Both codes demodulate, which leaves this scale no other effect than to weigh the epsilon beside the weights.
    tensor = tensor / sqrt(tensor[0].numel())
    return tensor.flip(2, 3) if int(layer[1]) % 2 else tensor
