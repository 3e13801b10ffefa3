"""How sources are brought to a size that a translator permits."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pellucid.v1 import translation_pb2, translation_service_pb2
from pellucid_client.choices import known
from pellucid_client.errors import InvalidRequest

FitMode = Literal["keep", "resize", "pad", "nearest", "tile"]

_MODES: dict[FitMode, translation_pb2.FitMode.ValueType] = {
    "keep": translation_pb2.FIT_MODE_KEEP,
    "resize": translation_pb2.FIT_MODE_RESIZE,
    "pad": translation_pb2.FIT_MODE_PAD,
    "nearest": translation_pb2.FIT_MODE_NEAREST,
    "tile": translation_pb2.FIT_MODE_TILE,
}


@dataclass(frozen=True)
class Fit:
    """A fit: "keep" refuses a size that the model does not permit, "resize" gives translations of another size.

    "pad" continues the source by reflection to the next permitted size and "nearest" resizes it, both there and back;
    "tile" translates in overlapping tiles, where the card permits it; "official" takes the card's crop and size, as the
    official code does.
    """

    mode: FitMode | Literal["official"] | None = None
    """Default: "resize" where a height or a width is given, else the card's."""
    height: int | None = None
    """For "resize", as `width`; one of the two alone keeps the ratio of the sides. Default: the card's."""
    width: int | None = None
    center_crop: int | None = None
    """Side of a square that is cut out of the middle first, black beyond the source. Default: nothing is cut."""
    align: bool = False
    """Bring the image's one face into place before all else, as in CelebA's aligned images of 178 x 218 pixels."""


FitLike: TypeAlias = Fit | FitMode | Literal["official"]
"""A fit, or its mode alone."""


def fit_message(fit: FitLike | None) -> translation_service_pb2.SourceFit | None:
    """Return the contract's message; InvalidRequest for an unknown mode, or a size that is not for resizing."""
    if fit is None:
        return None
    given = fit if isinstance(fit, Fit) else Fit(fit)
    sized = given.height is not None or given.width is not None
    mode = given.mode or ("resize" if sized else None)
    if sized and mode != "resize":
        raise InvalidRequest.of("fit", f'height and width are for "resize", not for {mode!r}')
    return translation_service_pb2.SourceFit(
        mode=(
            translation_pb2.FIT_MODE_UNSPECIFIED
            if mode is None or mode == "official"
            else known("fit.mode", mode, _MODES)
        ),
        height=given.height,
        width=given.width,
        center_crop=given.center_crop,
        official=mode == "official",
        align=translation_pb2.ALIGNMENT_CELEBA if given.align else translation_pb2.ALIGNMENT_UNSPECIFIED,
    )
