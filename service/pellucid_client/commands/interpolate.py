"""`pellucid interpolate`."""

from typing import Annotated, Literal

import typer

from pellucid_client.commands import arguments
from pellucid_client.commands.connection import Connection
from pellucid_client.commands.flatten import flattened
from pellucid_client.commands.image_files import ImageFiles
from pellucid_client.commands.model_controls import ModelControls
from pellucid_client.sheet import grid
from pellucid_client.sources import source_messages


@flattened
def interpolate(
    model: Annotated[str, typer.Argument(help="The model, as `pellucid models` lists it.")],
    keyframes: Annotated[
        list[str], typer.Argument(help="At least two: seeds (7, 0..3), recipes (face.json), latents (x.npy).")
    ],
    connection: Connection,
    controls: ModelControls,
    files: ImageFiles,
    frames: Annotated[int, typer.Option(help="Frames from one key frame to the next.", min=1)] = 8,
    path: Annotated[
        Literal["spherical", "linear"] | None,
        typer.Option(help="The way between latents. Default: linear behind a mapping, else spherical."),
    ] = None,
) -> None:
    """Walk from image to image, frame by frame."""
    stops = arguments.sources(keyframes)
    with connection.client() as client:
        images = client.interpolate(*stops, frames=frames, path=path, model=model, **files.options(controls.options()))
        total = frames * (len(source_messages(stops)) - 1) + 1
        files.write(images, total, lambda kept: grid(kept, frames, model))
