"""Sources of translations, each with what belongs to it alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from pellucid.v1 import translation_service_pb2 as pb
from pellucid_client.image_input import ImageLike, image_input
from pellucid_client.scene import Scene
from pellucid_client.targets import Style, ToLike, target_messages

TranslatableLike: TypeAlias = ImageLike | Scene
"""An image, or for models of label maps a scene."""


@dataclass(frozen=True, eq=False)
class TranslationItem:
    """A source of a stream with its labels and with targets of its own, which take the place of the stream's."""

    source: TranslatableLike
    labels: Mapping[str, float] = field(default_factory=dict)
    """Of the source, by attribute: what a change is relative to. Default: measured by the card's classifier."""
    to: ToLike | Iterable[ToLike] | None = None
    """As of `translate`, like the others."""
    direction: str | Sequence[str] | None = None
    cycle: bool = False
    style: Style | Sequence[Style] | None = None
    dropout_seed: int | Sequence[int] | None = None

    def message(self) -> pb.TranslationItem:
        """Return the item as the contract's message; reads its files."""
        return pb.TranslationItem(
            source=source_message(self.source, self.labels),
            targets=target_messages(self.to, self.direction, self.cycle, self.style, self.dropout_seed),
        )


def source_message(source: TranslatableLike, labels: Mapping[str, float]) -> pb.TranslationSource:
    """Return a source as the contract's message; reads its files."""
    told = {name: float(value) for name, value in labels.items()}
    if isinstance(source, Scene):
        return pb.TranslationSource(scene=source.message(), labels=told)
    return pb.TranslationSource(image=image_input(source, "source.image"), labels=told)
