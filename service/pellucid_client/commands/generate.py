"""`pellucid generate`."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pellucid_client.commands import arguments
from pellucid_client.commands.connection import Connection
from pellucid_client.commands.flatten import flattened
from pellucid_client.commands.image_files import ImageFiles
from pellucid_client.commands.model_controls import ModelControls
from pellucid_client.sheet import grid

_ACROSS = 8


@flattened
def generate(
    model: Annotated[str, typer.Argument(help="The model, as `pellucid models` lists it.")],
    connection: Connection,
    controls: ModelControls,
    files: ImageFiles,
    seed: Annotated[list[int] | None, typer.Option(help="A seed; repeatable. Default: a random one.")] = None,
    count: Annotated[
        int | None, typer.Option(help="Images of seeds in a row, from --seed on.", min=1, max=arguments.MAX_SEEDS)
    ] = None,
    latents: Annotated[Path | None, typer.Option(help="Latents (N, D), as .npy.", metavar="FILE.npy")] = None,
) -> None:
    """Generate images from seeds or latents."""
    if count is not None and (len(seed or []) > 1 or latents is not None):
        raise typer.BadParameter("--count goes with at most one --seed, and not with --latents")
    values = arguments.array(latents) if latents else None
    seeds = seed if seed and count is None else None
    with connection.client() as client:
        images = client.stream_generate(
            model,
            seeds=seeds,
            count=count,
            first_seed=seed[0] if seed and count is not None else None,
            latents=values,
            **files.options(controls.options()),
        )
        total = len(seeds) if seeds else count or (1 if values is None else len(np.atleast_2d(values)))
        files.write(images, total, lambda kept: grid(kept, _ACROSS, model))
