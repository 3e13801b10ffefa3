"""Translations as they come back."""

from dataclasses import dataclass

from pellucid.v1 import translation_service_pb2 as pb
from pellucid_client.errors import PellucidError
from pellucid_client.image import FORMAT_NAMES
from pellucid_client.rendition import Rendition


@dataclass(frozen=True, eq=False)
class Translation(Rendition):
    """A translated image; pixels are decoded when they are first asked for."""

    target: int
    """Position of its target in the call, from 0."""
    applied: pb.AppliedTranslation
    """What made it: the model's version, its domain and the labels that this is relative to, direction, clusters."""
    warnings: tuple[str, ...] = ()
    reconstruction: Rendition | None = None
    """The translation translated back; only where `cycle` asked for it, and of at most 1 MB."""
    mean_error: float | None = None
    """Mean absolute difference of the reconstruction from the source, in 8-bit levels."""

    @classmethod
    def from_message(cls, message: pb.TranslatedImage) -> "Translation":
        """Return the translation of a whole message."""
        name, height, width = FORMAT_NAMES.get(message.format, "jpeg"), message.height, message.width
        back = message.reconstruction
        return cls(
            format=name,
            height=height,
            width=width,
            data=message.data,
            target=message.target,
            applied=message.applied,
            warnings=tuple(message.warnings),
            reconstruction=Rendition(name, height, width, back.data) if back.data else None,
            mean_error=back.mean_error if message.HasField("reconstruction") else None,
        )


@dataclass(frozen=True, eq=False)
class Translated:
    """What came of one source of a stream: a translation for each target, or in `error` why there is none."""

    index: int
    """Position of the source, from 0."""
    images: tuple[Translation, ...] = ()
    error: PellucidError | None = None
