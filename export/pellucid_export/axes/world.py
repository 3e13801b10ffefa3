"""A generator and the classifiers that label its images, in process."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pellucid.v1.model_pb2 import TASK_CLASSIFY, Label, Model
from pellucid_export import runtime
from pellucid_export.axes.errors import AxesError
from pellucid_export.axes.generator import Generator, Images, Moves, Seeds
from pellucid_export.repository import Repository
from pellucid_export.runtime import Runner

Labels = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Extractor:
    """A classifier under its name in the repository; `digest` is its graph's."""

    name: str
    card: Model
    digest: str
    runner: Runner


@dataclass(frozen=True)
class Quantity:
    """A label and the extractor it comes from."""

    label: Label
    extractor: str


class World:
    """A generator, its extractors and the quantities they label, in the extractors' order."""

    def __init__(self, generator: Generator, extractors: Sequence[Extractor]) -> None:
        self.generator = generator
        self.extractors = tuple(extractors)
        self.quantities = [Quantity(label, one.name) for one in extractors for label in one.card.labels]
        _check(generator, self.extractors, [quantity.label.name for quantity in self.quantities])

    def labels(self, seeds: Seeds, moves: Moves | None = None, wanted: Sequence[int] | None = None) -> Labels:
        """Labels (N, K) of the images of seeds after displacements (D,) or (N, D) of their points.

        `wanted` are the quantities to give, by default all; extractors that give none of them do not run.
        """
        columns = list(range(len(self.quantities)) if wanted is None else wanted)
        return np.concatenate([self._labels(images, columns) for images in self.generator.images(seeds, moves)])

    def _labels(self, images: Images, columns: Sequence[int]) -> Labels:
        labels = np.empty((len(images), len(self.quantities)))
        first = 0
        for extractor in self.extractors:
            last = first + len(extractor.card.labels)
            if any(first <= column < last for column in columns):
                labels[:, first:last] = extractor.runner({"image": images})["labels"]
            first = last
        return labels[:, columns]


def open_extractor(repository: Repository, name: str) -> Extractor:
    """Open the latest version of a classifier. Raises AxesError or RepositoryError."""
    card = repository.card(name)
    if card.task != TASK_CLASSIFY:
        raise AxesError(f"'{name}' is no classifier")
    return Extractor(name, card, repository.version(name).file_digest, runtime.open_model(repository.directory(name)))


def open_file(path: Path, labels: str = "") -> Extractor:
    """Open a classifier of one's own that is not in the repository: an ONNX file with its configuration beside it.

    `labels` names its labels where the configuration does not; see `families.onnx_classifier`. Raises CheckpointError.
    """
    from pellucid_export.families import onnx_classifier

    network = onnx_classifier.load(path, onnx_classifier.Options(labels=labels))
    (stage,) = network.stages
    return Extractor(path.stem, network.card, network.weights_digest, runtime.reference(stage))


def _check(generator: Generator, extractors: Sequence[Extractor], names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AxesError(f"several extractors give {', '.join(twice)}; axes need names of their own")
    for extractor in extractors:
        sizes = [(card.height, card.width) for card in (generator.card, extractor.card)]
        if sizes[0] != sizes[1]:
            raise AxesError(
                f"'{extractor.name}' takes images of (height, width) {sizes[1]}, '{generator.name}' gives {sizes[0]}"
            )
