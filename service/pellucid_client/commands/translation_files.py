"""Options for the files that translations are written to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from pellucid_client.commands.image_files import SUFFIXES, drawable
from pellucid_client.translation_options import TranslationOptions


@dataclass(frozen=True)
class TranslationFiles:
    """What is written, and where."""

    out: Annotated[Path, typer.Option(help="Directory for the images.", metavar="DIR")] = Path("images")
    image_format: Annotated[
        Literal["jpeg", "png", "webp"], typer.Option("--format", help="PNG and WebP hold the exact pixels.")
    ] = "jpeg"
    quality: Annotated[int | None, typer.Option(help="Of JPEG, 1 to 100.")] = None
    sheet: Annotated[
        Path | None,
        typer.Option(help="Also draw a contact sheet, a row a source.", metavar="FILE.png", callback=drawable),
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each image.")] = False

    def options(self, given: TranslationOptions) -> TranslationOptions:
        """Return the options of a call: those that are given already, and what is to come back."""
        options = given.copy()
        options["format"] = self.image_format
        if self.quality is not None:
            options["quality"] = self.quality
        return options

    def path(self, stem: str, target: str) -> Path:
        """Return where a source's translation is written; a target may have no name."""
        return self.out / f"{stem}{target and '-'}{target}{SUFFIXES[self.image_format]}"
