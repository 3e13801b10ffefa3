"""Latents to styles, through a model's mapping; a latent that was mapped lately is not mapped again."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from pellucid_gateway.backends.base import Tensor
from pellucid_gateway.chain import LATENT, STYLE
from pellucid_gateway.dispatch import Dispatcher
from pellucid_gateway.errors import InferenceFailed
from pellucid_gateway.run import Run
from pellucid_gateway.styles import Leaf, Styles
from pellucid_gateway.telemetry import metrics

NOTHING_MAPPED: Styles = np.zeros((0, 0, 0), dtype=np.float32)

Key = tuple[str, str, bytes, bytes]


class Mapper:
    """Maps latents, and remembers at most `cache_bytes` of styles: those that were asked for last."""

    def __init__(self, dispatcher: Dispatcher, cache_bytes: int):
        self._dispatcher = dispatcher
        self._limit = cache_bytes
        self._held = 0
        self._styles: OrderedDict[Key, Styles] = OrderedDict()

    async def map(self, leaves: Sequence[Leaf], run: Run) -> Styles:
        """Give the styles (N, layers, size) of N leaves."""
        keys = [_key(leaf, run) for leaf in leaves]
        found = {key: self._styles[key] for key in keys if key in self._styles}
        missing = {key: leaf for key, leaf in zip(keys, leaves, strict=True) if key not in found}
        metrics.styles_looked_up(len(keys) - len(missing), len(missing))
        size = run.served.card.max_batch_size
        for first in range(0, len(missing), size):
            part = dict(list(missing.items())[first : first + size])
            found |= dict(zip(part, await self._map(list(part.values()), run), strict=True))
        for key in keys:
            self._remember(key, found[key])
        layers, width = run.served.chain.style
        return np.stack([found[key] for key in keys]) if keys else np.zeros((0, layers, width), dtype=np.float32)

    async def _map(self, leaves: list[Leaf], run: Run) -> Styles:
        stages = run.served.chain.mapping
        brought = {name for stage in stages for name in stage.inputs} & run.served.chain.brought.keys() - {LATENT}
        tensors: dict[str, Tensor] = {LATENT: np.stack([leaf.latent for leaf in leaves])}
        tensors |= {name: np.stack([leaf.conditions.row(name, run.served) for leaf in leaves]) for name in brought}
        styles = (await run.through(stages, tensors, (STYLE,)))[STYLE]
        if styles.shape[1:] != run.served.chain.style:
            raise InferenceFailed(f"{run.served.card.name} gave styles of shape {styles.shape}")
        return np.asarray(styles, dtype=np.float32)

    def _remember(self, key: Key, style: Styles) -> None:
        if key not in self._styles:
            # A copy: a row of a batch would keep the whole batch.
            self._styles[key] = style.copy()
            self._held += style.nbytes
        self._styles.move_to_end(key)
        while self._held > self._limit:
            _, oldest = self._styles.popitem(last=False)
            self._held -= oldest.nbytes


def _key(leaf: Leaf, run: Run) -> Key:
    version = run.served.version
    return (
        run.served.card.name,
        version.weights_digest or version.name,
        leaf.latent.tobytes(),
        leaf.conditions.label.tobytes(),
    )
