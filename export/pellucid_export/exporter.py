"""One export, from a checkpoint to a version in the repository.

1. The family loads the checkpoint into a network.
2. Every stage gets a Triton model in the staging folder: config.pbtxt (the primary one with the card) and its graph.
3. The graphs are compared with the network, and their rows with the same rows in other batches.
4. version.json is written, and the models are moved into the repository, the primary one last.

Nothing is visible in the repository before the last step, and nothing at all where an earlier one fails.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path

from pellucid.v1.model_pb2 import Asset, Version
from pellucid_export import card, determinism, families, onnx, options, parity, runtime, source, torchscript, triton
from pellucid_export.errors import RepositoryError
from pellucid_export.family import Network, Stage
from pellucid_export.form import Form, Format
from pellucid_export.repository import CONFIG_FILE, Repository, check_name, write_version

Write = Callable[[Stage, Path], None]
"""Writes a stage's graph to a file."""

_WRITE: dict[Format, Write] = {
    Format.ONNX: onnx.write,
    Format.TORCHSCRIPT: torchscript.write,
}
_RUNTIME = {Format.ONNX: "onnxruntime", Format.TORCHSCRIPT: "torch"}


@dataclass(frozen=True)
class Exported:
    """What an export led to; `is_new` is false where the latest version had these weights and options already."""

    version: Version
    directory: Path
    is_new: bool


def load(form: Form, checkpoint: Path) -> Network:
    """The network of a checkpoint. Raises FamilyError or CheckpointError."""
    family = families.get(form.family)
    network: Network = family.load(checkpoint, options.parse(family, form.options))
    return network


def export(repository: Repository, name: str, form: Form, checkpoint: Path, write: Write | None = None) -> Exported:
    """Export a checkpoint as the model `name`; where the latest version is made of it, only config.pbtxt is renewed.

    `write` is the format's own by default. Raises ExportError, and then the repository is as before.
    """
    check_name(name)
    network = load(form, checkpoint)
    names = card.stage_names(name, network)
    configs = _configs(name, network, form)
    for model, config in zip(names, configs, strict=True):
        repository.check_signature(model, config)
    with repository.staging() as staging:
        known = _same_graph(repository, name, network, form)
        for model, config in zip(names, configs, strict=True):
            (staging / model).mkdir()
            triton.write(config, staging / model / CONFIG_FILE)
        if known is not None:
            for model in names:
                repository.reconfigure(staging / model, model)
            return Exported(known, repository.directory(name, int(known.name)), is_new=False)
        # Stages count too: an interrupted publication may have left one without its primary model.
        number = str(max((old for model in names for old in repository.versions(model)), default=0) + 1)
        version = _write_versions(staging, names, network, form, number, write or _WRITE[form.format])
        directories = [repository.publish(staging / model, model, number) for model in names]
        return Exported(version, directories[-1], is_new=True)


def _same_graph(repository: Repository, name: str, network: Network, form: Form) -> Version | None:
    """The latest version, where it has these weights, was made with these options, and measured up to this batch."""
    try:
        version, made = repository.version(name), repository.form(name)
    except RepositoryError:
        return None
    family = families.get(form.family)
    is_same = (
        version.weights_digest == network.weights_digest
        and made.max_batch_size >= form.max_batch_size
        and options.parse(family, made.options) == options.parse(family, form.options)
    )
    return version if is_same else None


def measure(stage: Stage, directory: Path, form: Form) -> Version:
    """Parity and determinism of an exported stage, as far as a Version holds them. Raises ParityError."""
    exported = runtime.open_model(directory)
    name = _RUNTIME[form.format]
    return Version(
        parity=parity.compare(runtime.reference(stage), exported, stage.signature, f"{name} {installed(name)}"),
        determinism=determinism.measure(exported, stage.signature, form.max_batch_size),
    )


def _configs(name: str, network: Network, form: Form) -> list[triton.ModelConfig]:
    parameters = {triton.CARD: card.to_json(card.complete(name, network, form)), triton.FORM: form.to_json()}
    names = card.stage_names(name, network)
    return [
        triton.configure(model, stage.signature, form, parameters if model == name else {})
        for model, stage in zip(names, network.stages, strict=True)
    ]


def _write_versions(
    staging: Path, names: list[str], network: Network, form: Form, number: str, write: Write
) -> Version:
    """Write, check and describe every stage; the result is the primary one's."""
    versions = [
        _write_version(staging / model / number, stage, network, form, write)
        for model, stage in zip(names, network.stages, strict=True)
    ]
    for asset, content in network.assets.items():
        (staging / names[-1] / number / asset).write_bytes(content)
    weakest = max(version.determinism for version in versions)
    for model, version in zip(names, versions, strict=True):
        version.determinism = weakest
        version.assets.extend(_assets(staging / model / number))
        write_version(version, staging / model / number)
    return versions[-1]


def _assets(directory: Path) -> list[Asset]:
    """All that a version has beside its graph: the family's assets, and weights too large for the graph's file."""
    graphs = set(triton.MODEL_FILE.values())
    files = sorted(file for file in directory.iterdir() if file.name not in graphs)
    return [Asset(name=file.name, digest=source.file_digest(file)) for file in files]


def _write_version(directory: Path, stage: Stage, network: Network, form: Form, write: Write) -> Version:
    directory.mkdir()
    graph = directory / triton.MODEL_FILE[form.format]
    write(stage, graph)
    version = measure(stage, directory, form)
    version.name = directory.name
    version.weights_digest = network.weights_digest
    version.file_digest = source.file_digest(graph)
    version.create_time.GetCurrentTime()
    return version
