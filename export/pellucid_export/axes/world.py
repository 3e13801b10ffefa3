"""A generator and the classifiers that label its images, in process."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pellucid.v1.model_pb2 import TASK_CLASSIFY, TASK_GENERATE, Label, LatentPrior, Model
from pellucid_export import runtime
from pellucid_export.axes.errors import AxesError
from pellucid_export.repository import Repository
from pellucid_export.runtime import Runner

Images = npt.NDArray[np.uint8]

# One batch size for everything, so that the same sample is always computed in the same company.
_BATCH = 50


@dataclass(frozen=True)
class Generator:
    """A generator of the repository; `digest` is its weights', `files` those of its graphs."""

    name: str
    card: Model
    digest: str
    files: tuple[str, ...]
    runners: tuple[Runner, ...]

    @property
    def prior(self) -> LatentPrior:
        """What its latents are drawn from."""
        return self.card.latent


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

    def images(self, latents: npt.NDArray[np.float32]) -> Images:
        """Images (N, H, W, 3) of latents (N, D)."""
        batches = [self._image(latents[first : first + _BATCH]) for first in range(0, len(latents), _BATCH)]
        return np.concatenate(batches)

    def labels(
        self, latents: npt.NDArray[np.float32], wanted: Collection[int] | None = None
    ) -> npt.NDArray[np.float64]:
        """Labels (N, K) of the images of latents (N, D).

        `wanted` are the columns that matter, by default all; those of extractors that give none of them are NaN.
        """
        images = self.images(latents)
        columns: list[npt.NDArray[np.float64]] = []
        first = 0
        for extractor in self.extractors:
            count = len(extractor.card.labels)
            if wanted is None or not set(wanted).isdisjoint(range(first, first + count)):
                columns.append(_run(extractor, images))
            else:
                columns.append(np.full((len(images), count), np.nan))
            first += count
        return np.concatenate(columns, axis=1)

    def _image(self, latents: npt.NDArray[np.float32]) -> Images:
        tensors: dict[str, npt.NDArray[np.generic]] = {"latent": latents}
        for run, stage in zip(self.generator.runners, self.generator.card.stages, strict=True):
            tensors |= run({name: tensors[name] for name in stage.inputs})
        return tensors["image"].astype(np.uint8, copy=False)


def open_generator(repository: Repository, name: str, version: int | None = None) -> Generator:
    """Open a version of a generator, by default the latest. Raises AxesError or RepositoryError."""
    card = repository.card(name)
    if card.task != TASK_GENERATE:
        raise AxesError(f"'{name}' is no generator of images from latents")
    given = {"latent"}
    for stage in card.stages:
        missing = sorted(set(stage.inputs) - given)
        if missing:
            raise AxesError(
                f"stage '{stage.model}' of '{name}' also needs {', '.join(missing)}, which axes have no value for"
            )
        given |= set(stage.outputs)
    directories = [repository.directory(stage.model, version) for stage in card.stages]
    published = repository.version(name, version)
    files = tuple(repository.version(stage.model, version).file_digest for stage in card.stages)
    return Generator(name, card, published.weights_digest, files, tuple(map(runtime.open_model, directories)))


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


def _run(extractor: Extractor, images: Images) -> npt.NDArray[np.float64]:
    batches = (images[first : first + _BATCH] for first in range(0, len(images), _BATCH))
    return np.concatenate([extractor.runner({"image": batch})["labels"] for batch in batches]).astype(np.float64)


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
