"""Images as they come back."""

from dataclasses import dataclass

from pellucid.v1 import image_pb2
from pellucid_client.attention import AttentionMap
from pellucid_client.latent import Latent
from pellucid_client.rendition import FormatName, Rendition

FORMATS: dict[FormatName, image_pb2.ImageFormat.ValueType] = {
    "jpeg": image_pb2.IMAGE_FORMAT_JPEG,
    "png": image_pb2.IMAGE_FORMAT_PNG,
    "webp": image_pb2.IMAGE_FORMAT_WEBP,
    "raw": image_pb2.IMAGE_FORMAT_RAW,
}

FORMAT_NAMES = {number: name for name, number in FORMATS.items()}


@dataclass(frozen=True, eq=False)
class Image(Rendition):
    """An image with the recipe that makes it again; pixels are decoded when they are first asked for."""

    index: int
    """Position in the response or stream, from 0."""
    recipe: image_pb2.Recipe
    latent: Latent | None = None
    """Only where `include_latent` asked for it."""
    axis_moves: tuple[image_pb2.AxisMove, ...] = ()
    """What happened to each axis that was moved."""
    warnings: tuple[str, ...] = ()
    """Things to know, such as words of a caption that the model does not know."""
    intermediates: tuple[Rendition, ...] = ()
    """Smaller renditions of the generator, the smallest first; only where `include_intermediates` asked for them."""
    attention: tuple[AttentionMap, ...] = ()
    """A map for each word of the caption, resolution by resolution; only where `include_attention` asked for them."""

    @classmethod
    def from_message(cls, message: image_pb2.Image, index: int) -> "Image":
        """Return the image of a whole message, at a position of its own."""
        name = FORMAT_NAMES.get(message.format, "jpeg")
        return cls(
            index=index,
            format=name,
            height=message.height,
            width=message.width,
            data=message.data,
            recipe=message.recipe,
            latent=Latent.from_message(message.latent) if message.HasField("latent") else None,
            axis_moves=tuple(message.axis_moves),
            warnings=tuple(message.warnings),
            intermediates=tuple(Rendition(name, one.height, one.width, one.data) for one in message.intermediates),
            attention=tuple(map(AttentionMap.from_message, message.attention)),
        )

    @property
    def model(self) -> str:
        """The model that made it, `models/{model}`."""
        return self.recipe.model

    @property
    def seed(self) -> int | None:
        """The seed it started from; None where it started from a latent or an interpolation."""
        return self.recipe.seed if self.recipe.WhichOneof("origin") == "seed" else None
