"""Keyword options of translations."""

from collections.abc import Sequence

from pellucid_client.fit import FitLike
from pellucid_client.options import PictureOptions
from pellucid_client.targets import Style


class TranslationOptions(PictureOptions, total=False):
    """Options of calls that translate; a model whose card lacks one refuses it with Unsupported.

    `to`, `direction`, `style` and `dropout_seed` may each be given once, or once for each of several targets.
    """

    all_domains: bool
    """A translation to each domain of each set, in the card's order. Not together with others. Default False."""
    direction: str | Sequence[str]
    """By name. Default: the card's first."""
    cycle: bool
    """Also translate back, and say how far that is from the source. Default False."""
    style: Style | Sequence[Style]
    """The look of a scene's instances. Default: Style(seed=0)."""
    dropout_seed: int | Sequence[int]
    """Draws the dropout that the network has. Default: none is dropped."""
    fit: FitLike
    """How sources are brought to a size that the model permits. Default: the card's."""
