"""`pellucid translate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pellucid_client.commands import translation_arguments
from pellucid_client.commands.connection import Connection
from pellucid_client.commands.fit_options import FitOptions
from pellucid_client.commands.flatten import flattened
from pellucid_client.commands.scene_options import SceneOptions
from pellucid_client.commands.source_files import SourceFile, source_files
from pellucid_client.commands.target_options import TargetOptions
from pellucid_client.commands.translation_files import TranslationFiles
from pellucid_client.commands.translation_writing import Writing
from pellucid_client.translation_item import TranslationItem

_SECONDS_EACH = 600.0
"""Far more than a source takes, so that a folder of any size is translated to its end."""


@flattened
def translate(
    model: Annotated[str, typer.Argument(help="A translator, as `pellucid models` lists it.")],
    connection: Connection,
    targets: TargetOptions,
    scene: SceneOptions,
    fit: FitOptions,
    files: TranslationFiles,
    images: Annotated[
        list[Path] | None, typer.Argument(help="JPEG, PNG or WebP files, or folders of them.", exists=True)
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", help="What the sources show; repeatable. Default: measured.", metavar="NAME=0|1"),
    ] = None,
) -> None:
    """Translate images or a scene; exit code 1 where one of them failed."""
    sources = _sources(images or [], scene.label_map, files.out)
    told, drawn = translation_arguments.shares(labels or []), scene.scene()
    items = [TranslationItem(drawn or source.path, told) for source in sources]
    options = files.options(targets.options())
    fitting = fit.fit()
    if fitting is not None:
        options["fit"] = fitting
    if len(items) == 1:
        options["priority"] = "interactive"
    if connection.timeout_s is None:
        options["timeout_s"] = _SECONDS_EACH * len(items)
    to = targets.changes() or None
    with connection.client() as client:
        card = client.model(model)
        writing = Writing(files, sources, targets.names(card), card)
        failed = writing.write(client.stream_translate(model, items, to, **options))
    if failed:
        raise typer.Exit(1)


def _sources(images: Sequence[Path], label_map: Path | None, out: Path) -> list[SourceFile]:
    if label_map is None and images:
        return source_files(images, out)
    if label_map is not None and not images:
        return source_files([label_map], out)
    raise typer.BadParameter("give either images or --label-map")
