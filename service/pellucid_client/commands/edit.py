"""`pellucid edit`."""

from collections.abc import Sequence
from typing import Annotated

import typer

from pellucid_client.commands import arguments
from pellucid_client.commands.connection import Connection
from pellucid_client.commands.flatten import flattened
from pellucid_client.commands.image_files import ImageFiles
from pellucid_client.commands.model_controls import ModelControls
from pellucid_client.edits import Sweep
from pellucid_client.image import Image
from pellucid_client.sheet import ContactSheet, Row, grid
from pellucid_client.sources import source_messages

_ACROSS = 8


@flattened
def edit(
    model: Annotated[str, typer.Argument(help="The model, as `pellucid models` lists it.")],
    sources: Annotated[
        list[str], typer.Argument(help="Seeds (7, 0..15), recipes (face.json) or latents (latents.npy).")
    ],
    connection: Connection,
    controls: ModelControls,
    files: ImageFiles,
    move: Annotated[
        list[str] | None, typer.Option(help="AXIS:STEPS, AXIS:target:VALUE or AXIS:distance:LENGTH; repeatable.")
    ] = None,
    lock: Annotated[list[str] | None, typer.Option(help="An axis that must not change; repeatable.")] = None,
    sweep: Annotated[str | None, typer.Option(help="One more axis: AXIS:-4..4 or AXIS:-2,0,2.")] = None,
) -> None:
    """Move images along axes, with others locked."""
    starts, swept = arguments.sources(sources), arguments.sweep(sweep)
    with connection.client() as client:
        images = client.stream_edit(
            starts,
            arguments.moves(move or []),
            locks=lock or [],
            sweep=swept,
            model=model,
            **files.options(controls.options()),
        )
        count = len(starts if isinstance(starts, range) else source_messages(starts))
        total = count * (len(swept.amounts) if swept else 1)
        files.write(images, total, lambda kept: _sheet(kept, swept, model))


def _sheet(images: Sequence[Image], swept: Sweep | None, model: str) -> ContactSheet:
    if swept is None:
        return grid(images, _ACROSS, model)
    rows = grid(images, len(swept.amounts)).rows
    captions = [f"{amount:+g}" for amount in swept.amounts]
    return ContactSheet([Row(row.caption, row.images) for row in rows], captions, f"{model}: {swept.axis}")
