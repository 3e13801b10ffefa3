"""Options for a model's own controls."""

from dataclasses import dataclass, field
from typing import Annotated

import typer

from pellucid_client.controls import Controls


@dataclass(frozen=True)
class ModelControls:
    """Controls; a model that lacks one refuses it."""

    classes: Annotated[
        list[str], typer.Option("--class", help="A class by name; several are mixed.", metavar="NAME")
    ] = field(default_factory=list)
    caption: Annotated[str | None, typer.Option(help="What the image shows.")] = None
    truncation: Annotated[float | None, typer.Option(help="Truncation; the range is in the card.")] = None
    noise_strength: Annotated[float | None, typer.Option(help="Scale of the noise, 0 to 1.")] = None
    noise_seed: Annotated[int | None, typer.Option(help="Draws the noise.")] = None

    def given(self) -> Controls | None:
        """Return the controls; None where none was given, so that a recipe's apply."""
        controls = Controls(
            classes=self.classes,
            caption=self.caption,
            truncation=self.truncation,
            noise_strength=self.noise_strength,
            noise_seed=self.noise_seed,
        )
        return None if controls == Controls(classes=[]) else controls
