"""A generator of the repository, run in process: everything about an image follows from its seed.

seed -> latent and conditions -> the stages of the card -> image. What moves is the latent, or the style as soon as a
stage gives it; a later stage that truncates does so after the move, as where it is served.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.v1.latent_pb2 import SPACE_Z, Space
from pellucid.v1.model_pb2 import PRIOR_NORMAL, TASK_CAPTION_TO_IMAGE, TASK_GENERATE, Model
from pellucid_export import runtime, triton
from pellucid_export.axes import conditions, latents
from pellucid_export.axes.conditions import Conditions, Given
from pellucid_export.axes.errors import AxesError
from pellucid_export.axes.spaces import Region, Scatter
from pellucid_export.family import Tensor
from pellucid_export.repository import Repository
from pellucid_export.runtime import Runner
from pellucid_export.samples import Arrays

Seeds = Sequence[int]
Images = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float32]
Moves = npt.NDArray[np.float64]

# One batch size for everything, so that the same sample is always computed in the same company.
_LARGEST_BATCH = 50
# The features of large images need gigabytes.
_BATCH_PIXELS = 2**20
_TASKS = (TASK_GENERATE, TASK_CAPTION_TO_IMAGE)
_IN_Z, _NOTHING = Region(), Given()


@dataclass(frozen=True)
class Generator:
    """A version of a generator and where in it axes lie: points there have `size` numbers.

    `digest` is its weights', `files` those of its graphs.
    """

    name: str
    card: Model
    digest: str
    files: tuple[str, ...]
    runners: tuple[Runner, ...]
    conditions: Conditions
    region: Region
    size: int

    @property
    def scatter(self) -> Scatter:
        """How the points of seeds lie."""
        if self.region.space != SPACE_Z:
            return Scatter.UNEVEN
        is_standard = self.card.latent.prior == PRIOR_NORMAL and self.conditions.scale == 1
        return Scatter.STANDARD if is_standard else Scatter.EVEN

    def points(self, seeds: Seeds) -> Points:
        """Points (N, D) of seeds: latents, or what the mapping makes of them.

        Raises AxesError where the mapping gives different vectors for different layers.
        """
        firsts = range(0, len(seeds), _LARGEST_BATCH)
        found = [self._run(seeds[first : first + _LARGEST_BATCH], self.region.tensor) for first in firsts]
        points = np.concatenate([tensors[self.region.tensor] for tensors in found]).astype(np.float32, copy=False)
        if self.region.space == SPACE_Z:
            return points
        if (points != points[:, :1]).any():
            raise AxesError(f"the layers of a style of '{self.name}' differ: it has no W, only W+")
        return points[:, 0]

    def images(self, seeds: Seeds, moves: Moves | None = None) -> Iterator[Images]:
        """Images (n, H, W, 3) of seeds, a batch at a time, after displacements (D,) or (N, D) of their points."""
        size = min(_LARGEST_BATCH, max(1, _BATCH_PIXELS // (self.card.height * self.card.width)))
        rows = None if moves is None else np.broadcast_to(moves, (len(seeds), self.size))
        for first in range(0, len(seeds), size):
            batch = slice(first, first + size)
            tensors = self._run(seeds[batch], "image", None if rows is None else rows[batch])
            yield tensors["image"].astype(np.uint8, copy=False)

    def _run(self, seeds: Seeds, until: str, moves: Moves | None = None) -> Arrays:
        """Run the stages until one gives the tensor `until`; all tensors that were passed on."""
        tensors = self._moved({"latent": latents.draw(self.card.latent, seeds, self.conditions.scale)}, moves)
        for run, stage in zip(self.runners, self.card.stages, strict=True):
            if until not in tensors:
                inputs = self.conditions.rows(seeds, stage.inputs) | tensors
                tensors |= self._moved(run({name: inputs[name] for name in stage.inputs}), moves)
        return tensors

    def _moved(self, given: Arrays, moves: Moves | None) -> Arrays:
        name = self.region.tensor
        return given if moves is None or name not in given else given | {name: self.region.moved(given[name], moves)}


def open_generator(
    repository: Repository,
    name: str,
    version: int | None = None,
    region: Region = _IN_Z,
    given: Given = _NOTHING,
) -> Generator:
    """Open a version of a generator, by default the latest. Raises AxesError or RepositoryError."""
    card = repository.card(name)
    if card.task not in _TASKS:
        raise AxesError(f"'{name}' is no generator of images from latents")
    brought, made = _tensors(repository, card)
    if "image" not in made or made["image"].dtype != "uint8":
        raise AxesError(f"'{name}' gives no image of 8 bits; export it with uint8 pixels")
    located, size = _located(card, made, region)
    return Generator(
        name=name,
        card=card,
        digest=repository.version(name, version).weights_digest,
        files=tuple(repository.version(stage.model, version).file_digest for stage in card.stages),
        runners=tuple(runtime.open_model(repository.directory(stage.model, version)) for stage in card.stages),
        conditions=conditions.of(card, brought, given, repository.directory(name, version)),
        region=located,
        size=size,
    )


def _tensors(repository: Repository, card: Model) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The tensors that must be brought beside the latent, and those that the stages make."""
    brought: dict[str, Tensor] = {}
    made: dict[str, Tensor] = {}
    for stage in card.stages:
        signature = triton.signature(repository.config(stage.model))
        brought |= {tensor.name: tensor for tensor in signature.inputs if tensor.name not in ("latent", *made)}
        made |= {tensor.name: tensor for tensor in signature.outputs}
    return brought, made


def _located(card: Model, made: dict[str, Tensor], region: Region) -> tuple[Region, int]:
    """The region, without layers where it has all, and the numbers of a point.

    Raises AxesError where the model has no such space, or fewer layers.
    """
    if region.space == SPACE_Z:
        return region, card.latent.size
    sizes = {space.space: space.size for space in card.spaces}
    shape = made["style"].dims if "style" in made else ()
    if len(shape) != 2 or sizes.get(region.space) != shape[1]:
        listed = ", ".join(f"{Space.Name(space)} of {size}" for space, size in sizes.items()) or "no space"
        styles = f"styles {shape}" if shape else "no styles"
        raise AxesError(f"'{card.name}' has {listed}, and {styles}: there are no axes in {Space.Name(region.space)}")
    layers, size = shape
    if region.last is not None and region.last >= layers:
        raise AxesError(f"'{card.name}' has the layers 0 to {layers - 1}, and not {region.last}")
    return (Region(region.space) if (region.first, region.last) == (0, layers - 1) else region), size
