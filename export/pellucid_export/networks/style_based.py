"""What the two stages of a style-based generator take and give, and its card.

1. `mapping`: latent [and label] to `style`, W repeated over the layers.
2. The gateway edits and mixes styles, in W or W+.
3. `synthesis`: style, truncation and noise to `image`; truncation comes after the edits.
"""

from dataclasses import dataclass
from typing import Literal

from pellucid.v1.latent_pb2 import SPACE_W, SPACE_W_PLUS, SPACE_Z
from pellucid.v1.model_pb2 import (
    OFFICIAL_SAMPLER_RANDN,
    PRIOR_NORMAL,
    PRIOR_SPHERE,
    TASK_GENERATE,
    ClassList,
    LatentPrior,
    LatentSpace,
    Model,
    NoiseInput,
    StyleLayers,
    TruncationRange,
)
from pellucid_export.errors import FamilyError
from pellucid_export.family import Signature, Tensor
from pellucid_export.networks.pixels import Pixels, image_tensor

Noise = Literal["baked", "seeded"]
"""Whether the synthesis has only its trained noise, or takes a request's as well."""

MOST_TRUNCATION = 2.0
"""Truncation may go from minus this (beyond the average, to the opposite) to this (away from it)."""

_STYLE_TOLERANCE = 1e-3


def image_height(option: int, size: int) -> int:
    """The rows that are left of an image of `size` x `size`; the option's 0 leaves them all.

    Raises FamilyError where not as many can be cut off at the top as at the bottom.
    """
    if not 0 <= option <= size or (size - option) % 2:
        raise FamilyError(f"height is {option}; 0 or an even number up to {size} is possible here")
    return option or size


@dataclass(frozen=True)
class StyleBased:
    """A style-based generator: sizes of Z and W, layers that take a style, classes, and its image.

    `noise_size` is the number of all layers' noise values. `truncation` and `cutoff` apply when a request gives none.
    """

    latent: int
    width: int
    layers: int
    classes: int
    image_height: int
    image_width: int
    noise_size: int
    noise: Noise
    pixels: Pixels
    truncation: float
    cutoff: int

    def mapping(self) -> Signature:
        """Tensors of the mapping network."""
        latent = Tensor("latent", "float32", (self.latent,))
        label = (Tensor("label", "float32", (self.classes,), low=0.0, high=1.0),) if self.classes else ()
        style = Tensor("style", "float32", (self.layers, self.width), tolerance=_STYLE_TOLERANCE)
        return Signature(inputs=(latent, *label), outputs=(style,))

    def synthesis(self) -> Signature:
        """Tensors of the synthesis network."""
        noise = (
            Tensor("noise", "float32", (self.noise_size,)),
            Tensor("noise_seeded", "float32", (1,), low=0.0, high=1.0),
        )
        return Signature(
            inputs=(
                Tensor("style", "float32", (self.layers, self.width)),
                Tensor("truncation", "float32", (1,), low=-MOST_TRUNCATION, high=MOST_TRUNCATION),
                Tensor("truncation_cutoff", "int64", (1,), low=0, high=self.layers),
                Tensor("noise_strength", "float32", (1,), low=0.0, high=1.0),
                *(noise if self.noise == "seeded" else ()),
            ),
            outputs=(image_tensor(self.pixels, self.image_height, self.image_width),),
        )

    def card(self) -> Model:
        """What the gateway needs to know."""
        is_seeded = self.noise == "seeded"
        return Model(
            task=TASK_GENERATE,
            height=self.image_height,
            width=self.image_width,
            latent=self._prior(),
            spaces=[
                LatentSpace(space=SPACE_Z, size=self.latent, layers=1),
                LatentSpace(space=SPACE_W, size=self.width, layers=1),
                LatentSpace(space=SPACE_W_PLUS, size=self.width, layers=self.layers),
            ],
            classes=ClassList(names=[f"class_{index}" for index in range(self.classes)]) if self.classes else None,
            truncation=TruncationRange(
                min=-MOST_TRUNCATION,
                max=MOST_TRUNCATION,
                default_value=self.truncation,
                layers=self.layers,
                default_cutoff=self.cutoff,
            ),
            style_layers=StyleLayers(count=self.layers),
            noise=NoiseInput(seeded=is_seeded, size=self.noise_size if is_seeded else 0),
        )

    def _prior(self) -> LatentPrior:
        # The mapping network scales latents to one length, so that both priors give the same images; edits in Z are
        # of one size on the sphere. Beside the embedding of a label, the length counts.
        prior = PRIOR_NORMAL if self.classes else PRIOR_SPHERE
        return LatentPrior(size=self.latent, prior=prior, official_sampler=OFFICIAL_SAMPLER_RANDN)
