"""What CycleGAN and pix2pix have in common: a generator's file and options to a stage and a card."""

from dataclasses import dataclass
from math import isqrt, prod
from pathlib import Path
from typing import Literal

from pellucid.v1.model_pb2 import TASK_TRANSLATE, Model
from pellucid.v1.translation_pb2 import (
    FIT_MODE_PAD,
    FIT_MODE_RESIZE,
    RESAMPLING_BICUBIC,
    DropoutInput,
    Sizes,
    Translation,
)
from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError, FamilyError
from pellucid_export.family import Length, Signature, Stage, Tensor
from pellucid_export.networks import generator_file
from pellucid_export.networks.dropout import KEEP
from pellucid_export.networks.generator_file import Statistics
from pellucid_export.networks.pixels import Pixels, image_tensor
from pellucid_export.networks.translator import Generator, Translator

MAX_PX = 4096 * 2304
"""Most pixels of one image, where sizes may vary: memory grows with them."""

_NORMS = {
    ("batch", "image"): "Its batch norms take each image's own statistics, as the official test does.",
    ("batch", "running"): "Its batch norms take the statistics of training, as the official test does with --eval.",
    ("instance", "image"): "Its instance norms take each image's own statistics.",
    ("none", "image"): "It has no norms.",
}


@dataclass(frozen=True)
class Options:
    """What can be chosen at export.

    `size` is the height and width of images for a U-Net and wherever dropout is seeded, and the usual ones for a
    ResNet, which takes others too; 0 stands for the network's own, 256 or 2^levels of a U-Net.
    `statistics` is what batch norms normalise with, `dropout` whether requests may draw it.
    """

    pixels: Pixels = "uint8"
    size: int = 0
    statistics: Statistics = "image"
    dropout: Literal["none", "seeded"] = "none"


@dataclass(frozen=True)
class ImageTranslator:
    """A generator as it is exported; `dropped` is the number of flags for its dropouts, 0 where none are taken."""

    generator: Generator
    state: State
    options: Options
    size: int
    dropped: int

    @property
    def is_fixed(self) -> bool:
        """Whether it takes images of `size` only."""
        return self.generator.is_fixed or self.dropped > 0

    @property
    def is_local(self) -> bool:
        """Whether a part of an image becomes the same whatever the rest of it is, so that tiles make one picture."""
        return not self.is_fixed and (self.options.statistics == "running" or self.generator.layout.norm == "none")

    def stage(self, role: str) -> Stage:
        """The graph: `source` and, where it is seeded, `dropout` to `image`."""
        height, width = (self._length(name) for name in ("height", "width"))
        inputs = [Tensor("source", "uint8", (height, width, 3), low=0, high=255)]
        if self.dropped:
            inputs.append(Tensor("dropout", "uint8", (self.dropped,), low=0, high=1))
        image = image_tensor(self.options.pixels, height, width)
        module = Translator(self.generator, self.options.pixels, self.size if self.dropped else None)
        return Stage(role, module.eval(), Signature(tuple(inputs), (image,)))

    def card(self) -> Model:
        """What the file tells of the model."""
        dropout = "Requests may draw its dropout." if self.dropped else "No dropout."
        kind = str(self.generator)
        return Model(
            description=f"{kind}. {_NORMS[self.generator.layout.norm, self.options.statistics]} {dropout}",
            task=TASK_TRANSLATE,
            height=self.size,
            width=self.size,
            translation=Translation(
                sizes=self._sizes(),
                dropout=DropoutInput(size=self.dropped, keep=KEEP) if self.dropped else None,
                grey=self.generator.layout.inputs == 1,
            ),
        )

    def _length(self, name: str) -> int | Length:
        return self.size if self.is_fixed else Length(name, self.generator.multiple, self.size)

    def _sizes(self) -> Sizes:
        if self.is_fixed:
            return Sizes(fixed=True, default_fit=FIT_MODE_RESIZE, resampling=RESAMPLING_BICUBIC)
        multiple = self.generator.multiple
        return Sizes(
            height_multiple=multiple,
            width_multiple=multiple,
            min_side=self.generator.smallest,
            max_px=MAX_PX,
            default_fit=FIT_MODE_PAD,
            resampling=RESAMPLING_BICUBIC,
        )


def read(path: Path, options: Options) -> ImageTranslator:
    """Read a generator's file. Raises CheckpointError, and FamilyError for a size that the network does not take."""
    generator, state = generator_file.read(path, options.statistics)
    size = options.size or generator.usual_size
    if size < generator.smallest or size % generator.multiple or size * size > MAX_PX:
        raise FamilyError(
            f"option 'size' must be a multiple of {generator.multiple} from {generator.smallest} to {isqrt(MAX_PX)} for"
            f" a {generator}, not {size}"
        )
    dropped = sum(map(prod, generator.dropped(size))) if options.dropout == "seeded" else 0
    if options.dropout == "seeded" and not dropped:
        raise CheckpointError(f"{path.name}: option 'dropout' is seeded, but a {generator} like this has no dropout")
    return ImageTranslator(generator, state, options, size, dropped)
