"""Options for a model's own controls."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from pellucid_client.commands import arguments
from pellucid_client.controls import Controls
from pellucid_client.options import ImageOptions


@dataclass(frozen=True)
class ModelControls:
    """Controls; a model that lacks one refuses it."""

    classes: Annotated[
        list[str],
        typer.Option("--class", help="NAME, or its index; several are mixed, by NAME=SHARE.", metavar="NAME[=SHARE]"),
    ] = field(default_factory=list)
    caption: Annotated[str | None, typer.Option(help="What the image shows.")] = None
    truncate_caption: Annotated[
        bool, typer.Option("--truncate-caption", help="Cut a caption that is too long, instead of refusing it.")
    ] = False
    condition: Annotated[
        Path | None, typer.Option(help="The vector of conditions (K,), as .npy.", metavar="FILE.npy")
    ] = None
    truncation: Annotated[float | None, typer.Option(help="Truncation; the range is in the card.")] = None
    truncation_cutoff: Annotated[int | None, typer.Option(help="Layers below it are truncated.", min=0)] = None
    mixes: Annotated[
        list[str],
        typer.Option("--mix", help="Styles of layers from another seed; repeatable.", metavar="SEED:FIRST-LAST"),
    ] = field(default_factory=list)
    noise_strength: Annotated[float | None, typer.Option(help="Scale of the noise, 0 to 1.")] = None
    noise_seed: Annotated[int | None, typer.Option(help="Draws the noise.")] = None
    official_seeds: Annotated[
        bool, typer.Option("--official-seeds", help="Seeds become latents as the official scripts do it.")
    ] = False

    def options(self) -> ImageOptions:
        """Return the options of a call that were given; without controls, so that a recipe's apply."""
        options = ImageOptions()
        controls = Controls(
            classes=arguments.classes(self.classes),
            caption=self.caption,
            truncation=self.truncation,
            truncation_cutoff=self.truncation_cutoff,
            style_mixes=arguments.mixes(self.mixes),
            noise_strength=self.noise_strength,
            noise_seed=self.noise_seed,
            condition=arguments.array(self.condition) if self.condition else None,
            truncate_caption=self.truncate_caption or None,
        )
        if controls.message().ListFields():
            options["controls"] = controls
        if self.official_seeds:
            options["sampler"] = "official"
        return options
