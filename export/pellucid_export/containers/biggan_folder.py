"""The two files of a pytorch-pretrained-BigGAN model: config.json says what the shapes of the weights do not."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from pellucid_export.containers import checkpoints
from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError
from pellucid_export.networks.biggan_deep import FIRST_SIZE, FIRST_WIDTH, LayerLayout, Layout

WEIGHTS = "pytorch_model.bin"
CONFIG = "config.json"

_COUNTS = ("z_dim", "class_embed_dim", "num_classes", "channel_width", "n_stats", "output_dim")
# What config.json says of shapes that a file has as well.
_SHAPES: dict[str, Callable[[Layout], tuple[int, ...]]] = {
    "generator.gen_z.weight_orig": lambda layout: (
        FIRST_SIZE**2 * FIRST_WIDTH * layout.width,
        layout.latent + layout.embedding,
    ),
    "embeddings.weight": lambda layout: (layout.embedding, layout.classes),
    "generator.bn.running_means": lambda layout: (layout.statistics, layout.width),
}


def read(folder: Path) -> tuple[Layout, State]:
    """The layout and the weights in a folder with `pytorch_model.bin` and `config.json`.

    Both may bear the same prefix, as the published files do (`biggan-deep-256-`). Raises CheckpointError.
    """
    weights, config = _files(folder)
    layout = _layout(_parsed(config), config.name)
    state = checkpoints.load_state(weights)
    # Memory for a network is only set aside once it is known that the file fills it.
    for name, shape in _SHAPES.items():
        found = tuple(state[name].shape) if name in state else None
        if found != shape(layout):
            raise CheckpointError(f"{weights.name}: {name} is {found}, but {config.name} asks for {shape(layout)}")
    return layout, state


def _files(folder: Path) -> tuple[Path, Path]:
    weights = sorted(folder.glob(f"*{WEIGHTS}"))
    if len(weights) != 1:
        found = ", ".join(path.name for path in weights) or "none"
        raise CheckpointError(f"{folder.name}: a folder with one {WEIGHTS} and its {CONFIG} is expected, found {found}")
    config = folder / (weights[0].name.removesuffix(WEIGHTS) + CONFIG)
    if not config.is_file():
        raise CheckpointError(f"{folder.name}: {weights[0].name} needs {config.name} beside it")
    return weights[0], config


def _parsed(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name}: not readable JSON: {error}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path.name}: an object is expected, found {type(config).__name__}")
    return config


def _layout(config: dict[str, Any], name: str) -> Layout:
    wrong = [key for key in _COUNTS if type(config.get(key)) is not int or config[key] < 1]
    if type(config.get("attention_layer_position")) is not int:
        wrong.append("attention_layer_position")
    if not isinstance(config.get("eps"), float) or not 0 < config["eps"] < 1:
        wrong.append("eps")
    if not isinstance(config.get("layers"), list) or not all(map(_is_layer, config["layers"])):
        wrong.append("layers")
    if wrong:
        raise CheckpointError(f"{name}: " + ", ".join(f"{key} is {config.get(key)!r}" for key in wrong))
    layout = Layout(
        latent=config["z_dim"],
        embedding=config["class_embed_dim"],
        classes=config["num_classes"],
        width=config["channel_width"],
        layers=tuple(LayerLayout(*layer) for layer in config["layers"]),
        attention=config["attention_layer_position"],
        epsilon=config["eps"],
        statistics=config["n_stats"],
    )
    _check(layout, config["output_dim"], name)
    return layout


def _is_layer(layer: Any) -> bool:
    return isinstance(layer, list) and [type(value) for value in layer] == [bool, int, int]


def _check(layout: Layout, size: int, name: str) -> None:
    """Refuse what cannot run: the blocks' widths form a chain from 16 to 1 that halves, if it changes at all."""
    widths = [(layer.before, layer.after) for layer in layout.layers]
    is_chained = all(before[1] == after[0] for before, after in pairwise(widths))
    is_narrowing = all(after in (before, before // 2) for before, after in widths)
    if not (widths and is_chained and is_narrowing and widths[0][0] == FIRST_WIDTH and widths[-1][1] == 1):
        raise CheckpointError(f"{name}: layers must narrow from {FIRST_WIDTH} to 1 by halves, found {widths}")
    if layout.statistics < 2:
        raise CheckpointError(f"{name}: n_stats must be at least 2, found {layout.statistics}")
    if layout.size != size:
        raise CheckpointError(f"{name}: output_dim is {size}, but the layers make images of {layout.size} pixels")
