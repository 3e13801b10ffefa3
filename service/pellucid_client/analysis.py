"""Labels of images."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pellucid.v1 import analysis_service_pb2 as pb
from pellucid_client.errors import PellucidError
from pellucid_client.image_input import ImageLike, image_input
from pellucid_client.status import error_from_status

_MESSAGE_BYTES = 2**20
_MESSAGE_IMAGES = 64


@dataclass(frozen=True)
class Analysis:
    """What a classifier measured of one image, or in `error` why it could not."""

    index: int
    values: Mapping[str, float] = field(default_factory=dict)
    """By label: a probability, or a number in the label's unit."""
    error: PellucidError | None = None

    def __getitem__(self, label: str) -> float:
        """Return a label's value; raises the image's error where it has one."""
        if self.error is not None:
            raise self.error
        return self.values[label]

    @classmethod
    def from_message(cls, message: pb.Analysis, index: int) -> "Analysis":
        """Return the analysis of a message, at a position of its own."""
        values = {measurement.label: measurement.value for measurement in message.measurements}
        return cls(index, MappingProxyType(values))

    @classmethod
    def from_result(cls, message: pb.AnalysisResult, index: int) -> "Analysis":
        """Return the analysis or the error of one image of a stream."""
        if message.HasField("error"):
            return cls(index, error=error_from_status(message.error))
        return cls.from_message(message.analysis, index)


def packed(images: Iterable[ImageLike]) -> Iterator[list[pb.ImageInput]]:
    """Give the images in groups that fit into one message of a stream."""
    group: list[pb.ImageInput] = []
    size = 0
    for image in map(image_input, images):
        if group and size + len(image.data) > _MESSAGE_BYTES:
            yield group
            group, size = [], 0
        group.append(image)
        size += len(image.data)
        if len(group) == _MESSAGE_IMAGES:
            yield group
            group, size = [], 0
    if group:
        yield group
