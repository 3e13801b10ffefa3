"""Anybody's generator, or classifier, with a card that says what its file does not.

1. The network is read: TorchScript, ONNX, or what a Python factory gives.
2. Its inputs are matched with what the gateway feeds by the card.
3. It runs with three rows, which shows its output and whether rows can share a batch.
4. It is surrounded by what turns the gateway's tensors into its own, and its output into the gateway's.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pellucid.v1.model_pb2 import TASK_CLASSIFY, Model
from pellucid_export import card_file
from pellucid_export.card_file import CardFile
from pellucid_export.containers import factory, torchscript_file
from pellucid_export.errors import CheckpointError, FamilyError
from pellucid_export.family import Family, Network, Signature, Stage, Tensor
from pellucid_export.networks import convention, foreign_graph
from pellucid_export.networks.convention import Feed
from pellucid_export.networks.foreign_graph import ForeignGraph
from pellucid_export.networks.foreign_module import ForeignModule
from pellucid_export.networks.pixels import Pixels, image_tensor
from pellucid_export.samples import Array, draw

CARD_FILE = "card.yaml"
"""The card's name in a folder."""

_GRAPHS = (".onnx", ".pt", ".ts", ".pth", ".torchscript")
_ROWS, _SEED = 3, 0
_CHANNELS = (1, 3)
# Of the largest value: two runs of one network differ by rounding, never by this much.
_REPEATABLE = 1e-3
_LABEL_TOLERANCE = 1e-3

Foreign = ForeignModule | ForeignGraph


@dataclass(frozen=True)
class Options:
    """What can be chosen at export.

    `card` is a file beside the network's, or a path; by default it has the network's name with .yaml, and is card.yaml
    in a folder. `factory` is a function package.module:function that gets the path and gives the network: it is run.
    """

    card: str = ""
    factory: str = ""
    pixels: Pixels = "uint8"


def load(path: Path, options: Options) -> Network:
    """Read a network, and its card. Executes Python only where a factory is named."""
    card = card_file.read(_card_path(path, options.card))
    foreign = _read(path, options.factory)
    if card.model.task == TASK_CLASSIFY:
        return _classifier(foreign, card)
    return _generator(foreign, convention.complete(card, foreign.arguments), options.pixels)


def _card_path(path: Path, given: str) -> Path:
    folder = path if path.is_dir() else path.parent
    if not given:
        usual = folder / CARD_FILE if path.is_dir() else path.with_suffix(".yaml")
        if not usual.is_file():
            raise CheckpointError(f"{path}: a card is needed, {usual.name} beside the network or --option card=FILE")
        return usual
    found = [place for place in (folder / given, Path(given)) if place.is_file()]
    if not found:
        raise FamilyError(f"option 'card': no file '{given}' in {folder}, nor in the working directory")
    return found[0]


def _read(path: Path, factory_name: str) -> Foreign:
    if factory_name:
        return factory.build(factory_name, path)
    file = path
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in _GRAPHS)
        if len(files) != 1:
            found = ", ".join(file.name for file in files) or "none"
            raise CheckpointError(f"{path}: one file of {', '.join(_GRAPHS)} is expected, found {found}")
        file = files[0]
    return foreign_graph.read(file) if file.suffix == ".onnx" else torchscript_file.read(file)


def _run(foreign: Foreign, card: CardFile, feeds: Sequence[Feed]) -> Array:
    """The chosen output for three rows. Raises CheckpointError where it cannot be served."""
    rows = draw(Signature(_tensors(feeds), ()), _ROWS, _SEED)
    try:
        together, again = foreign.run(card, feeds, rows), foreign.run(card, feeds, rows)
        alone = foreign.run(card, feeds, {name: value[:1] for name, value in rows.items()})
    except CheckpointError:
        raise
    except Exception as error:
        # NOTE: a network may fail in any way, and the runtimes document no set of errors.
        raise CheckpointError(f"the network does not run with {_described(feeds)}: {_reason(error)}") from error
    if together.shape[:1] != (_ROWS,) or alone.shape[:1] != (1,):
        raise CheckpointError(
            f"the network gives {together.shape} for a batch of {_ROWS} and {alone.shape} for a batch of 1: its first"
            " axis must be the batch, of any length"
        )
    if not np.isfinite(together).all():
        raise CheckpointError("the network gives values that are not finite")
    if _differ(together, again):
        raise CheckpointError(
            "the network gives another output for the same input: it draws random numbers itself; make them an input"
            " (conditioning_noise), or switch them off"
        )
    if _differ(together[:1], alone):
        raise CheckpointError(
            "a row of the network's output depends on its neighbours, as batch norm in training mode does: export it in"
            " eval mode"
        )
    return together


def _differ(one: Array, other: Array) -> bool:
    a, b = one.astype(np.float64), other.astype(np.float64)
    return bool(np.abs(a - b).max(initial=0.0) > _REPEATABLE * max(1.0, np.abs(a).max(initial=0.0)))


def _generator(foreign: Foreign, card: CardFile, pixels: Pixels) -> Network:
    feeds = convention.feeds(card, foreign.arguments)
    model = Model()
    model.CopyFrom(card.model)
    channels, model.height, model.width = _picture(card, _run(foreign, card, feeds).shape)
    module = foreign.generator(replace(card, model=model), feeds, channels, pixels)
    signature = Signature(_tensors(feeds), (image_tensor(pixels, model.height, model.width),))
    return Network((Stage("synthesis", module, signature),), model, _digest(foreign, card, feeds))


def _picture(card: CardFile, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, height and width of what the network gives, checked against the card."""
    axes = "(N, H, W, C)" if card.is_channels_last else "(N, C, H, W)"
    if len(shape) != 4:
        raise CheckpointError(f"the network's output must have four axes {axes}, it has the shape {shape}")
    channels, height, width = (shape[3], shape[1], shape[2]) if card.is_channels_last else shape[1:]
    if channels not in _CHANNELS:
        raise CheckpointError(
            f"the network's output must have 1 or 3 channels, it has {channels}: the shape is {shape}, and the card's"
            f" layout {axes}"
        )
    for name, found in (("height", height), ("width", width)):
        if getattr(card.model, name) not in (0, found):
            raise CheckpointError(
                f"the card's {name} is {getattr(card.model, name)}, the network's images have {found}"
            )
    return channels, height, width


def _classifier(foreign: Foreign, card: CardFile) -> Network:
    if isinstance(foreign, ForeignGraph):
        raise CheckpointError("a classifier in ONNX is exported by the family onnx_classifier")
    feeds = convention.feeds(card, foreign.arguments)
    scores, labels = _run(foreign, card, feeds).size // _ROWS, len(card.model.labels)
    if scores != labels:
        raise CheckpointError(f"the network gives {scores} scores, the card has {labels} labels")
    output = Tensor("labels", "float32", (labels,), tolerance=_LABEL_TOLERANCE)
    stage = Stage("classifier", foreign.classifier(card, feeds), Signature(_tensors(feeds), (output,)))
    return Network((stage,), card.model, _digest(foreign, card, feeds))


def _tensors(feeds: Sequence[Feed]) -> tuple[Tensor, ...]:
    return tuple(feed.tensor for feed in feeds)


def _digest(foreign: Foreign, card: CardFile, feeds: Sequence[Feed]) -> str:
    """SHA-256 over the network and all of the card that decides what it is given and what is made of its output."""
    fed = [(feed.tensor.name, feed.argument.name, feed.shape, feed.is_index) for feed in feeds]
    told = (card.output, card.low, card.high, card.is_channels_last, card.activation, fed)
    return f"sha256:{hashlib.sha256(f'{foreign.digest} {told!r}'.encode()).hexdigest()}"


def _described(feeds: Sequence[Feed]) -> str:
    return ", ".join(f"{feed.argument.name} of shape {(_ROWS, *feed.shape)}" for feed in feeds)


def _reason(error: Exception) -> str:
    """The line that says it: torch's interpreter puts the program's lines first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    told = [line for line in lines if line.startswith("RuntimeError: ")]
    return told[-1].removeprefix("RuntimeError: ") if told else lines[0]


FAMILY = Family(
    name="custom",
    description="A generator or classifier of your own, with a card in YAML",
    containers=("TorchScript (.pt, .ts)", "ONNX", "a folder with one of them and card.yaml", "what a factory reads"),
    options=Options,
    load=load,
)
