"""How a network of BigGAN-PyTorch is built, told by the shapes of its weights."""

import re
from dataclasses import dataclass
from itertools import pairwise
from math import isqrt

from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError

# BigGAN-deep has two blocks a resolution (G_depth), of which the second doubles it; BigGAN has one.
_DEPTH = 2


@dataclass(frozen=True)
class Layout:
    """The sizes of a network; `widths` lists the channels before and after every block.

    `embedding` is 0 where the norms look their classes up in tables of their own instead of sharing an embedding.
    Where `is_hierarchical`, the latent reaches the norms too: BigGAN's blocks get a part of it each, and the first
    layer another; BigGAN-deep's get all of it, and the first layer the embedding as well.
    `attention` are the blocks after which attention stands.
    """

    classes: int
    embedding: int
    latent: int
    first_size: int
    widths: tuple[tuple[int, int], ...]
    attention: frozenset[int]
    is_deep: bool
    is_hierarchical: bool

    def doubles(self, block: int) -> bool:
        """Whether a block doubles the resolution."""
        return not self.is_deep or block % _DEPTH == _DEPTH - 1

    @property
    def size(self) -> int:
        """Height and width of images in pixels."""
        size: int = self.first_size * 2 ** sum(self.doubles(block) for block in range(len(self.widths)))
        return size

    @property
    def part(self) -> int:
        """Numbers of the latent that the first layer gets; BigGAN's blocks get as many, if any."""
        is_parted = self.is_hierarchical and not self.is_deep
        return self.latent // (len(self.widths) + 1) if is_parted else self.latent

    @property
    def condition(self) -> int:
        """Numbers that a norm with a shared embedding depends on."""
        return self.embedding + (self.part if self.is_hierarchical else 0)

    @classmethod
    def of(cls, state: State) -> "Layout":
        """Tell a network from its folded weights. Raises CheckpointError where they are no BigGAN's."""
        blocks = _blocks(state)
        is_deep = "blocks.0.0.conv4.weight" in state
        last = "conv4" if is_deep else "conv1"
        widths = tuple(
            (_shape(state, f"blocks.{n}.0.conv1.weight", 4)[1], _shape(state, f"blocks.{n}.0.{last}.weight", 4)[0])
            for n in range(blocks)
        )
        outputs, inputs = _shape(state, "linear.weight", 2)
        gain = _shape(state, "blocks.0.0.bn1.gain.weight", 2)
        classes, embedding = _shape(state, "shared.weight", 2) if "shared.weight" in state else (gain[0], 0)
        is_hierarchical = embedding > 0 and gain[1] > embedding
        latent = inputs
        if is_hierarchical:
            latent = inputs - embedding if is_deep else inputs * (blocks + 1)
        layout = cls(
            classes=classes,
            embedding=embedding,
            latent=latent,
            first_size=isqrt(outputs // widths[0][0]),
            widths=widths,
            attention=frozenset(n for n in range(blocks) if f"blocks.{n}.1.gamma" in state),
            is_deep=is_deep,
            is_hierarchical=is_hierarchical,
        )
        layout._check()
        return layout

    def _check(self) -> None:
        is_chained = all(before[1] == after[0] for before, after in pairwise(self.widths))
        if not is_chained or (self.is_deep and any(after > before for before, after in self.widths)):
            raise CheckpointError(
                f"not a BigGAN: widths before and after its blocks are {self.widths}, which is no chain"
            )
        if self.is_deep and len(self.widths) % _DEPTH:
            raise CheckpointError(
                f"{len(self.widths)} blocks; only BigGAN-deep with {_DEPTH} blocks a resolution (G_depth) is known"
            )
        if self.latent < 1 or self.first_size < 1:
            raise CheckpointError(
                f"not a BigGAN: linear.weight stands for {self.latent} latents and a first size of {self.first_size}"
            )


def _blocks(state: State) -> int:
    found = {int(match[1]) for name in state if (match := re.fullmatch(r"blocks\.(\d+)\.0\.conv1\.weight", name))}
    if not found or found != set(range(len(found))):
        raise CheckpointError(f"not a BigGAN: blocks.0, blocks.1, ... are expected, found {sorted(found) or 'none'}")
    return len(found)


def _shape(state: State, name: str, rank: int) -> tuple[int, ...]:
    shape = tuple(state[name].shape) if name in state else None
    if shape is None or len(shape) != rank or 0 in shape:
        raise CheckpointError(f"not a BigGAN: {name} is expected to have {rank} axes, found {shape or 'nothing'}")
    return shape
