"""What a caller wants, free of transport: checked field by field against a model, before any inference."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import overload

from pellucid.v1 import generation_service_pb2, image_pb2, model_pb2
from pellucid_gateway.errors import Refused

SEEDS = 2**64


class Seeds(Sequence[image_pb2.Source]):
    """The sources of seeds `first`, `first` + 1, ... (modulo 2^64), made only when they are looked at."""

    def __init__(self, first: int, count: int):
        self._first = first
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> image_pb2.Source: ...
    @overload
    def __getitem__(self, index: slice) -> list[image_pb2.Source]: ...
    def __getitem__(self, index: int | slice) -> image_pb2.Source | list[image_pb2.Source]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        return image_pb2.Source(seed=(self._first + index) % SEEDS)


@dataclass(frozen=True)
class Walk:
    """Interpolate between the sources: `frames` from one to the next, and one more for the last."""

    frames: int
    path: "image_pb2.Path.ValueType"


@dataclass(frozen=True, kw_only=True)
class Job:
    """Images that are wanted: every source, edited once for each amount of the sweep; or a walk through the sources.

    `deadline` is on the monotonic clock; `priority` is Triton's, 1 the highest.
    """

    model: str
    version: str
    sources: Sequence[image_pb2.Source]
    edit: image_pb2.EditSet = field(default_factory=image_pb2.EditSet)
    sweep: generation_service_pb2.Sweep | None = None
    walk: Walk | None = None
    controls: image_pb2.Controls = field(default_factory=image_pb2.Controls)
    image_format: "image_pb2.ImageFormat.ValueType" = image_pb2.IMAGE_FORMAT_JPEG
    quality: int
    include_latent: bool = False
    include_intermediates: bool = False
    include_attention: bool = False
    priority: int
    deadline: float | None = None
    request_id: str = ""

    @property
    def count(self) -> int:
        """Number of images."""
        if self.walk:
            return (len(self.sources) - 1) * self.walk.frames + 1
        return len(self.sources) * self.variants

    @property
    def is_edit(self) -> bool:
        """Whether the images differ from their sources."""
        return bool(self.edit.moves or self.edit.locks or self.sweep)

    @property
    def recipe_bytes(self) -> int:
        """Bound the size of an image's recipe and what is told of its moves."""
        given = 0 if isinstance(self.sources, Seeds) else max(source.ByteSize() for source in self.sources)
        return (
            1024
            + 2 * given
            + 2 * self.controls.ByteSize()
            + 2 * self.edit.ByteSize()
            + 192 * (len(self.edit.moves) + len(self.edit.locks) + 1)
        )

    @property
    def field(self) -> str:
        """The request's field that holds the sources."""
        return "keyframes" if self.walk else "sources"

    @property
    def variants(self) -> int:
        """Images a source."""
        return len(self.sweep.amounts) if self.sweep else 1


def check_task(card: model_pb2.Model, *tasks: "model_pb2.Task.ValueType") -> None:
    """Refuse a model of another task."""
    if card.task not in tasks:
        wanted = " or ".join(model_pb2.Task.Name(task) for task in tasks)
        raise Refused("WRONG_TASK", f"{card.name} is of {model_pb2.Task.Name(card.task)}, and this call needs {wanted}")
