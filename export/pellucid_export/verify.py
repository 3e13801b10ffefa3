"""Checking a published version again: files, parity, determinism. Writes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pellucid.v1.model_pb2 import Version
from pellucid_export import card, determinism, exporter, runtime, source, triton, zoo
from pellucid_export.errors import CheckpointError, ExportError, RepositoryError
from pellucid_export.family import Network, Stage
from pellucid_export.form import Form
from pellucid_export.repository import Repository


@dataclass(frozen=True)
class Verified:
    """A Triton model's version as published, and as measured now.

    `fault` says what is wrong, or is empty. `measured` has a parity only where the checkpoint could be had, and
    holds nothing after a fault.
    """

    model: str
    published: Version
    measured: Version
    fault: str = ""


def verify(
    repository: Repository, name: str, version: int | None = None, checkpoint: Path | None = None
) -> list[Verified]:
    """Check all stages of a version, by default the latest.

    `checkpoint` is the file or folder it was exported from; models of the zoo need none. Without one the graphs are
    not compared with the network. Raises RepositoryError for a model that cannot be read, CheckpointError for
    another checkpoint's, FetchError where the zoo's cannot be had.
    """
    form = repository.form(name)
    published = repository.version(name, version)
    network = _network(form, checkpoint)
    if network is not None and network.weights_digest != published.weights_digest:
        raise CheckpointError(
            f"the checkpoint's weights are {network.weights_digest}, version {published.name} of '{name}' was made"
            f" from {published.weights_digest}"
        )
    return [
        _check(repository, model, int(published.name), form, stage)
        for model, stage in _stages(repository, name, network)
    ]


def _network(form: Form, checkpoint: Path | None) -> Network | None:
    if checkpoint is None and form.entry in zoo.ENTRIES:
        checkpoint = zoo.fetch(zoo.ENTRIES[form.entry])
    return exporter.load(form, checkpoint) if checkpoint else None


def _stages(repository: Repository, name: str, network: Network | None) -> Iterator[tuple[str, Stage | None]]:
    if network is not None:
        yield from zip(card.stage_names(name, network), network.stages, strict=True)
        return
    for stage in repository.card(name).stages:
        yield stage.model, None


def _check(repository: Repository, model: str, number: int, form: Form, stage: Stage | None) -> Verified:
    published = repository.version(model, number)
    directory = repository.directory(model, number)
    try:
        found = source.file_digest(directory / triton.MODEL_FILE[form.format])
        if found != published.file_digest:
            raise RepositoryError(f"the graph has {found}, version.json says {published.file_digest}")
        _check_assets(published, directory)
        measured = exporter.measure(stage, directory, form) if stage else _alone(repository, model, directory, form)
        if measured.determinism > published.determinism:
            raise RepositoryError("rows depend on their batch, and version.json says that they do not")
    except (ExportError, OSError) as error:
        return Verified(model, published, Version(), str(error))
    return Verified(model, published, measured)


def _check_assets(published: Version, directory: Path) -> None:
    for asset in published.assets:
        found = source.file_digest(directory / asset.name)
        if found != asset.digest:
            raise RepositoryError(f"{asset.name} has {found}, version.json says {asset.digest}")


def _alone(repository: Repository, model: str, directory: Path, form: Form) -> Version:
    signature = triton.signature(repository.config(model))
    exported = runtime.open_model(directory)
    return Version(determinism=determinism.measure(exported, signature, form.max_batch_size))
