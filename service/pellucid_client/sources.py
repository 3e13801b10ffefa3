"""What images start from: seeds, latents and earlier images."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral
from operator import index
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pellucid.v1 import generation_service_pb2, image_pb2
from pellucid_client.errors import InvalidRequest
from pellucid_client.image import Image
from pellucid_client.latent import Latent

SEEDS = 2**64
OFFICIAL_SEEDS = 2**32
"""Seeds of the official samplers, which are numpy's."""

SourceLike: TypeAlias = int | Latent | Image | image_pb2.Recipe | NDArray[Any]
"""A seed, a latent, an earlier image or its recipe. An array of floats is a latent (D,) or several (N, D)
in the generator's prior; an array of whole numbers is seeds."""


def draw_seed(end: int = SEEDS) -> int:
    """Return a random seed, uniform over 0 to `end`, which is not included."""
    return secrets.randbelow(end)


def checked_seed(seed: int, field: str = "seed") -> int:
    """Return a seed, a Python or numpy number; InvalidRequest about `field` where it is out of range."""
    if not 0 <= seed < SEEDS:
        raise InvalidRequest.of(field, f"{seed} is not within 0..2^64-1")
    return index(seed)


def seed_range(first: int | None, count: int | None) -> generation_service_pb2.SeedRange:
    """Return a range of seeds whose first is drawn here where none is given, so that a repeated call means the same."""
    return generation_service_pb2.SeedRange(
        first=draw_seed() if first is None else checked_seed(first), count=1 if count is None else count
    )


def source_messages(
    sources: SourceLike | Iterable[SourceLike],
    field: str = "sources",
    sampler: image_pb2.Sampler.ValueType = image_pb2.SAMPLER_UNSPECIFIED,
) -> list[image_pb2.Source]:
    """Return the messages of one or several sources, in order; InvalidRequest where there is none.

    Seeds among them become latents by `sampler`; a recipe keeps its own.
    """
    single = isinstance(sources, Integral | Latent | Image | image_pb2.Recipe | np.ndarray)
    items: Iterable[Any] = [sources] if single else sources  # type: ignore[assignment]
    messages = [message for item in items for message in _messages(item, field)]
    if not messages:
        # The gateway would take it for the default and draw a seed.
        raise InvalidRequest.of(field, "there is none; at least one is needed")
    for message in messages:
        if message.HasField("seed"):
            message.sampler = sampler
    return messages


def first_recipe(sources: Sequence[image_pb2.Source]) -> image_pb2.Recipe | None:
    """Return the first recipe among the sources; it says which model and version is meant."""
    return next((source.recipe for source in sources if source.HasField("recipe")), None)


def _messages(source: SourceLike, field: str) -> Iterator[image_pb2.Source]:
    match source:
        case Image():
            yield image_pb2.Source(recipe=source.recipe)
        case image_pb2.Recipe():
            yield image_pb2.Source(recipe=source)
        case Latent():
            yield image_pb2.Source(latent=source.message())
        case np.ndarray():
            yield from _array_messages(source, field)
        case Integral():
            yield image_pb2.Source(seed=checked_seed(index(source)))
        case _:
            raise InvalidRequest.of(field, f"{type(source).__name__} is no seed, latent, image or recipe")


def _array_messages(array: NDArray[Any], field: str) -> Iterator[image_pb2.Source]:
    if np.issubdtype(array.dtype, np.integer):
        yield from (image_pb2.Source(seed=checked_seed(int(seed))) for seed in array.ravel())
    elif np.issubdtype(array.dtype, np.floating) and array.ndim in (1, 2):
        rows = np.atleast_2d(array)  # (N, D)
        yield from (image_pb2.Source(latent=Latent(row.astype(np.float32)).message()) for row in rows if row.size)
    else:
        raise InvalidRequest.of(field, f"an array {array.shape} of {array.dtype} is no latent (D,) or (N, D)")
