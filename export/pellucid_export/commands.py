"""The commands `pellucid export` and `pellucid verify`."""

# What is imported here is paid for by every `pellucid` command; torch and ONNX Runtime are not among it.
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pellucid_export.errors import FamilyError, RepositoryError
from pellucid_export.form import About, Accelerator, Form, Format
from pellucid_export.reporting import reported

if TYPE_CHECKING:
    from pellucid_export.repository import Repository

_MODEL_REPOSITORY = Path("model_repository")

Checkpoint = Callable[[], Path]


def export(
    what: Annotated[str, typer.Argument(help="An entry of the zoo, or the family of PATH.")] = "",
    path: Annotated[Path | None, typer.Argument(help="A checkpoint: a file, or a folder with several.")] = None,
    repository: Annotated[Path, typer.Option(help="The model repository.")] = _MODEL_REPOSITORY,
    name: Annotated[str, typer.Option(help="The model's name. Default: the entry's.")] = "",
    file_format: Annotated[Format, typer.Option("--format", help="The graph's file format.")] = Format.ONNX,
    accelerator: Annotated[
        Accelerator, typer.Option(help="What Triton runs it on; cuda and tensorrt are for NVIDIA's container.")
    ] = Accelerator.CPU,
    fp16: Annotated[bool, typer.Option("--fp16", help="Let TensorRT compute in half precision.")] = False,
    engine_cache: Annotated[str, typer.Option(help="The server's folder for TensorRT engines.")] = "",
    pixels: Annotated[str, typer.Option(help="uint8 (default), or float32: untouched in [-1, 1].")] = "",
    option: Annotated[list[str] | None, typer.Option(help="An option of the family, NAME=VALUE.")] = None,
    max_batch_size: Annotated[int, typer.Option(min=1, max=1024, help="The largest batch.")] = 16,
    display_name: Annotated[str, typer.Option(help="The model's name for people.")] = "",
    description: Annotated[str, typer.Option(help="A sentence for people.")] = "",
    license_: Annotated[str, typer.Option("--license", help="The licence of the weights (SPDX).")] = "",
    source: Annotated[str, typer.Option(help="Where the weights come from.")] = "",
    all_: Annotated[bool, typer.Option("--all", help="Export every entry of the zoo.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the zoo and the families.")] = False,
) -> None:
    """Export a published generator or classifier into the model repository.

    Exporting the same weights in the same form again changes nothing.
    """
    with reported():
        if list_:
            return _list()
        options = _options(option or [], pixels)
        for form, checkpoint in _wanted(what, path, options, all_):
            asked = replace(
                form,
                options={**form.options, **options},
                format=file_format,
                accelerator=accelerator,
                fp16=fp16,
                engine_cache=engine_cache,
                max_batch_size=max_batch_size,
                about=_about(form.about, About(display_name, description, license_, source)),
            )
            if not name and not form.entry:
                raise RepositoryError("a model made from a file needs a name: give --name")
            _export(repository, name or form.entry, asked, checkpoint)
    return None


def verify(
    model: Annotated[str, typer.Argument(help="The model's name.")],
    repository: Annotated[Path, typer.Option(help="The model repository.")] = _MODEL_REPOSITORY,
    version: Annotated[int | None, typer.Option(help="The version. Default: the latest.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="What it was exported from; models of the zoo need none.")
    ] = None,
) -> None:
    """Check a model's files against their digests, its graphs against the network, and rows against their batch.

    Writes nothing. Exits with 1 where a check fails.
    """
    with reported():
        from pellucid_export import tables
        from pellucid_export.repository import Repository
        from pellucid_export.verify import verify as check

        results = check(Repository(repository), model, version, checkpoint)
        Console().print(tables.verification(results))
        if any(result.fault for result in results):
            raise typer.Exit(1)


def _list() -> None:
    from pellucid_export import families, tables, zoo

    Console().print(tables.zoo(zoo.ENTRIES.values()), tables.families(map(families.get, families.names())))


def _wanted(what: str, path: Path | None, options: Mapping[str, str], every: bool) -> list[tuple[Form, Checkpoint]]:
    from pellucid_export import zoo

    if every:
        return [_from_zoo(entry) for entry in zoo.ENTRIES]
    return [_from_zoo(what) if path is None else _from_path(what, path, options)]


def _from_zoo(what: str) -> tuple[Form, Checkpoint]:
    from pellucid_export import zoo

    entry = zoo.ENTRIES.get(what)
    if entry is None:
        raise FamilyError(
            f"'{what}' is no entry of the zoo; known: {', '.join(zoo.ENTRIES)}. For a family, name its checkpoint too"
        )
    about = About(entry.display_name, entry.description, entry.license, entry.source)
    form = Form(entry.family, zoo.digest(entry), entry.name, entry.options, about=about)
    return form, lambda: zoo.fetch(entry)


def _from_path(family: str, path: Path, options: Mapping[str, str]) -> tuple[Form, Checkpoint]:
    return Form(family, _digest(path, options)), lambda: path


def _digest(path: Path, options: Mapping[str, str]) -> str:
    """The checkpoint's digest, with the files that options name and those that describe it: they decide as much."""
    from pellucid_export import source

    digest = source.digest(path)
    folder = path if path.is_dir() else path.parent
    named = [place for value in options.values() for place in (Path(value), folder / value)]
    beside = [] if path.is_dir() else [path.with_name(name) for name in _names_beside(path)]
    files = {file.name: source.hex_digest(file) for file in (*named, *beside) if file.is_file()}
    return source.combined({**files, path.name: digest.removeprefix("sha256:")})


def _names_beside(path: Path) -> tuple[str, ...]:
    """A card in YAML or TOML, and weights that an ONNX file has outside."""
    return f"{path.stem}.yaml", f"{path.stem}.toml", f"{path.name}.data"


def _options(pairs: list[str], pixels: str) -> dict[str, str]:
    options = {"pixels": pixels} if pixels else {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise FamilyError(f"option '{pair}' must be NAME=VALUE")
        options[key] = value
    return options


def _about(known: About, given: About) -> About:
    return About(
        given.display_name or known.display_name,
        given.description or known.description,
        given.license or known.license,
        given.source or known.source,
    )


def _export(root: Path, name: str, form: Form, checkpoint: Checkpoint) -> None:
    from pellucid_export.axes import published
    from pellucid_export.repository import Repository

    repository = Repository(root)
    # What a user's own code gives is known only when it has run.
    if "factory" not in form.options and repository.is_current(name, form):
        version = repository.version(name)
        Console().print(f"'{name}' version {version.name} holds these weights in this form already: nothing to do.")
    else:
        _make(repository, name, form, checkpoint())
    for axes in published.install(repository.directory(name), repository.version(name).weights_digest):
        Console().print(f"'{name}' has the published axes '{axes.stem}'.")


def _make(repository: "Repository", name: str, form: Form, checkpoint: Path) -> None:
    from pellucid_export import exporter, tables  # with torch, which nobody waits for who has the model already

    exported = exporter.export(repository, name, form, checkpoint)
    Console().print(tables.exported(name, form, exported))
