"""`pellucid analyze`."""

from pathlib import Path
from typing import Annotated

import typer

from pellucid_client.commands.connection import Connection, show_error
from pellucid_client.commands.flatten import flattened
from pellucid_client.commands.printing import AsJson, print_json, print_table, tracked


@flattened
def analyze(
    model: Annotated[str, typer.Argument(help="A classifier, as `pellucid models` lists it.")],
    images: Annotated[list[Path], typer.Argument(help="JPEG, PNG or WebP files.", exists=True, dir_okay=False)],
    connection: Connection,
    as_json: AsJson = False,
) -> None:
    """Measure the labels of images; exit code 1 where an image could not be measured."""
    failed = False
    rows: list[tuple[str, ...]] = []
    labels: list[str] = []
    with connection.client() as client:
        for path, analysis in zip(
            images, tracked(client.stream_analyze(model, images), len(images), "images"), strict=True
        ):
            if analysis.error is not None:
                failed = True
                typer.echo(f"{path}:", err=True)
                show_error(analysis.error)
            elif as_json:
                print_json({"path": str(path), "labels": dict(analysis.values)})
            else:
                labels = list(analysis.values)
                rows.append((str(path), *(f"{value:.4g}" for value in analysis.values.values())))
    if rows:
        print_table(["image", *labels], rows)
    if failed:
        raise typer.Exit(1)
