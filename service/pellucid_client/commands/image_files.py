"""Options for the files that images are written to, and the writing."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import PIL.Image
import typer

from pellucid_client.attention_sheet import attention_sheet
from pellucid_client.commands.printing import as_dict, print_json, tracked
from pellucid_client.image import Image
from pellucid_client.options import ImageOptions
from pellucid_client.sheet import ContactSheet

SUFFIXES = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}


def drawable(sheet: Path | None) -> Path | None:
    """Return the path of a sheet as it is; raises BadParameter where its ending is no picture's."""
    if sheet is not None and PIL.Image.registered_extensions().get(sheet.suffix.lower()) not in PIL.Image.SAVE:
        raise typer.BadParameter(f"{str(sheet)!r} does not end like a picture, as .png does")
    return sheet


@dataclass(frozen=True)
class ImageFiles:
    """What is written, and where."""

    out: Annotated[Path, typer.Option(help="Directory for the images.", metavar="DIR")] = Path("images")
    image_format: Annotated[
        Literal["jpeg", "png", "webp"], typer.Option("--format", help="PNG and WebP hold the exact pixels.")
    ] = "jpeg"
    quality: Annotated[int | None, typer.Option(help="Of JPEG, 1 to 100.")] = None
    recipes: Annotated[bool, typer.Option("--recipes", help="Write each image's recipe beside it.")] = False
    intermediates: Annotated[
        bool, typer.Option("--intermediates", help="Write the generator's smaller renditions too.")
    ] = False
    attention: Annotated[
        bool, typer.Option("--attention", help="Draw beside each image what the words of its caption drew on.")
    ] = False
    sheet: Annotated[
        Path | None, typer.Option(help="Also draw a contact sheet.", metavar="FILE.png", callback=drawable)
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each image.")] = False

    def options(self, given: ImageOptions) -> ImageOptions:
        """Return the options of a call: those that are given already, and what is to come back."""
        options = given.copy()
        options["format"] = self.image_format
        options["include_intermediates"] = self.intermediates
        options["include_attention"] = self.attention
        if self.quality is not None:
            options["quality"] = self.quality
        return options

    def write(self, images: Iterable[Image], total: int, drawn: Callable[[Sequence[Image]], ContactSheet]) -> None:
        """Write images as they come and say so; then the sheet that `drawn` makes of all of them."""
        self.out.mkdir(parents=True, exist_ok=True)
        kept: list[Image] = []
        for image in tracked(images, total, "images"):
            self._say(image, self._save(image))
            if self.sheet is not None:
                kept.append(image)
        if self.sheet is not None:
            drawn(kept).draw().save(self.sheet)
            typer.echo(f"wrote {self.sheet}", err=True)
        if not self.as_json:
            typer.echo(f"wrote {total} images to {self.out}")

    def _save(self, image: Image) -> dict[str, Any]:
        """Write an image with all that belongs to it, and return the paths."""
        path = image.save(self.out / f"{image.index:06d}{SUFFIXES[self.image_format]}")
        if self.recipes:
            path.with_suffix(".json").write_text(json.dumps(as_dict(image.recipe), indent=2) + "\n")
        paths: dict[str, Any] = {"path": str(path)}
        if self.intermediates:
            paths["intermediates"] = [
                str(smaller.save(path.with_stem(f"{path.stem}-{smaller.width}x{smaller.height}")))
                for smaller in image.intermediates
            ]
        if self.attention and image.attention:
            drawn = path.with_name(f"{path.stem}-attention.png")
            attention_sheet(image).draw().save(drawn)
            paths["attention"] = str(drawn)
        return paths

    def _say(self, image: Image, paths: dict[str, Any]) -> None:
        for warning in image.warnings:
            typer.echo(f"warning: image {image.index}: {warning}", err=True)
        for what in self._missing(image) if image.index == 0 else ():
            typer.echo(f"warning: {image.model} gives no {what}", err=True)
        if self.as_json:
            moves = [as_dict(move) for move in image.axis_moves]
            said = {"axisMoves": moves, "warnings": list(image.warnings)}
            print_json({"index": image.index, **paths, "recipe": as_dict(image.recipe), **said})

    def _missing(self, image: Image) -> Iterator[str]:
        if self.intermediates and not image.intermediates:
            yield "intermediates"
        if self.attention and not image.attention:
            yield "attention"
