"""Options for how sources are brought to a size that a translator permits."""

from dataclasses import dataclass
from typing import Annotated

import typer

from pellucid_client.commands import translation_arguments
from pellucid_client.fit import Fit, FitLike, FitMode


@dataclass(frozen=True)
class FitOptions:
    """A fit; the card's where nothing is given."""

    mode: Annotated[FitMode | None, typer.Option("--fit", help="How sources are fitted. Default: the card's.")] = None
    size: Annotated[
        str | None, typer.Option(help="Size to resize to; 256x and x512 keep the ratio.", metavar="HEIGHTxWIDTH")
    ] = None
    center_crop: Annotated[int | None, typer.Option(help="Side of a square that is cut out first.", min=1)] = None
    align: Annotated[bool, typer.Option("--align", help="Bring the face into place as in CelebA first.")] = False
    official: Annotated[bool, typer.Option("--official", help="Crop and resize as the official code does.")] = False

    def fit(self) -> FitLike | None:
        """Return the fit; None for the card's."""
        height, width = translation_arguments.size(self.size)
        given = Fit(self.mode, height, width, self.center_crop, self.align)
        if not self.official:
            return None if given == Fit() else given
        if given != Fit(align=self.align):
            raise typer.BadParameter("--official goes without --fit, --size and --center-crop")
        return Fit("official", align=self.align)
