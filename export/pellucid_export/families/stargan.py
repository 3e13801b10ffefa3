"""StarGAN: Choi et al., "StarGAN: unified generative adversarial networks for multi-domain image-to-image translation",
2018.

One network translates to all domains; the paper's c is `domain`. Its numbers are attributes, each there or not, or
classes, of which an image is of exactly one, or both with a mask that says which is meant (section 3.3).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from pellucid.v1.model_pb2 import TASK_TRANSLATE, Model
from pellucid.v1.translation_pb2 import (
    FIT_MODE_PAD,
    RESAMPLING_BILINEAR,
    Domains,
    DomainSet,
    ExclusiveGroup,
    Sizes,
    Translation,
)
from pellucid_export.containers import checkpoints
from pellucid_export.errors import CheckpointError, FamilyError
from pellucid_export.family import Family, Length, Network, Signature, Stage, Tensor
from pellucid_export.networks import norms
from pellucid_export.networks.colours import signed
from pellucid_export.networks.labelled_generator import MULTIPLE, LabelledGenerator, Layout
from pellucid_export.networks.pixels import PixelOutput, Pixels, image_tensor

Dataset = Literal["attributes", "classes", "joint"]

LARGEST_SIZE = 2048
"""Height and width of images that are as large as the card permits."""

_HAIR_COLOURS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")
_CELEBA_CROP = 178
_BY_DATASET = -1
_MASK = 2
_MODEL = re.compile(r"models/[^/]+")
# Sets of a joint network, in the order of its mask.
_ATTRIBUTE_SET, _CLASS_SET = "celeba", "rafd"


@dataclass(frozen=True)
class Options:
    """What can be chosen at export, and what the shapes of weights leave open.

    `attributes` and `classes` name the domains in the order of training (`--selected_attrs`; folders in alphabetical
    order), separated by commas. `dataset` says which of them the network has; "auto" takes what has its number of
    labels. `image_size` is the usual height and width. `center_crop` is the side of the square that the official code
    cuts out of an image first; -1 stands for 178 where there are attributes, as in CelebA, and for 0, none, otherwise.
    `source_classifier` is the served model, `models/NAME`, that says which attributes an image has. `tiles` permits
    images in tiles although each is then normalised, and labelled from its own borders.
    """

    pixels: Pixels = "uint8"
    attributes: str = "Black_Hair,Blond_Hair,Brown_Hair,Male,Young"
    classes: str = ""
    dataset: Literal["auto", "attributes", "classes", "joint"] = "auto"
    image_size: int = 128
    center_crop: int = _BY_DATASET
    source_classifier: str = ""
    tiles: bool = False


class Translator(nn.Module):
    """Images `source` (N, H, W, 3), uint8, and `domain` (N, L) to `image` of the same size."""

    def __init__(self, generator: LabelledGenerator, pixels: Pixels) -> None:
        super().__init__()
        self.generator = generator
        self.output = PixelOutput(pixels)

    def forward(self, source: torch.Tensor, domain: torch.Tensor) -> torch.Tensor:
        """Translate a batch of images."""
        image: torch.Tensor = self.output(self.generator(signed(source), domain))
        return image


def load(path: Path, options: Options) -> Network:
    """Read a generator whose number of labels, width and depth are told by the shapes of its weights."""
    _check(options)
    state = norms.without_statistics(checkpoints.load_state(path))
    layout = Layout.of(state)
    domains = _domains(layout.labels, options)
    generator = LabelledGenerator(layout)
    checkpoints.load_strictly(generator, state, f"a StarGAN of {layout.labels} labels and {layout.blocks} blocks")
    height, width = (Length(name, MULTIPLE, options.image_size) for name in ("height", "width"))
    signature = Signature(
        inputs=(
            Tensor("source", "uint8", (height, width, 3), low=0, high=255),
            Tensor("domain", "float32", (layout.labels,), low=0, high=1),
        ),
        outputs=(image_tensor(options.pixels, height, width),),
    )
    stage = Stage("translator", Translator(generator, options.pixels).eval(), signature)
    return Network((stage,), _card(domains, options), checkpoints.digest(state))


def _check(options: Options) -> None:
    for option in ("attributes", "classes"):
        names = _names(getattr(options, option))
        if "" in names or len(set(names)) < len(names):
            raise FamilyError(f"option '{option}' must be different names, separated by commas, not {','.join(names)}")
    # Of a single pixel, which the halvings would leave of 4 x 4, there are no statistics.
    if not 2 * MULTIPLE <= options.image_size <= LARGEST_SIZE or options.image_size % MULTIPLE:
        raise FamilyError(
            f"option 'image_size' must be a multiple of {MULTIPLE} from {2 * MULTIPLE} to {LARGEST_SIZE}, not"
            f" {options.image_size}"
        )
    if options.center_crop < _BY_DATASET:
        raise FamilyError(f"option 'center_crop' must be 0 or more, or {_BY_DATASET}, not {options.center_crop}")
    if options.source_classifier and not _MODEL.fullmatch(options.source_classifier):
        raise FamilyError(f"option 'source_classifier' must be models/NAME, not '{options.source_classifier}'")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")] if text else []


def _domains(labels: int, options: Options) -> Domains:
    """What the numbers of `domain` mean. Raises CheckpointError where names and labels differ in number."""
    attributes, classes = _names(options.attributes), _names(options.classes)
    sizes: dict[Dataset, int] = {"attributes": len(attributes), "classes": len(classes)}
    if attributes and classes:
        sizes["joint"] = len(attributes) + len(classes) + _MASK
    fitting = [dataset for dataset, size in sizes.items() if size == labels and options.dataset in (dataset, "auto")]
    if len(fitting) > 1:
        raise CheckpointError(f"{labels} labels may be {' or '.join(fitting)}: say which in option 'dataset'")
    if not fitting:
        raise CheckpointError(_misfit(labels, attributes, classes, options.dataset))
    domains = Domains(size=labels, source_classifier=options.source_classifier)
    if fitting != ["classes"]:
        # A group of one means something too: the official test turns a hair colour on, and other attributes over.
        hair = [name for name in attributes if name in _HAIR_COLOURS]
        domains.sets.add(names=attributes, groups=[ExclusiveGroup(names=hair)] if hair else [])
    if fitting != ["attributes"]:
        domains.sets.add(names=classes, exclusive=True)
    if fitting == ["joint"]:
        _join(domains.sets[0], domains.sets[1])
    return domains


def _join(first: DomainSet, second: DomainSet) -> None:
    """Place two sets: the attributes, the classes, and the mask with a bit for each."""
    first.name, second.name = _ATTRIBUTE_SET, _CLASS_SET
    second.offset = len(first.names)
    first.mask = second.offset + len(second.names)
    second.mask = first.mask + 1


def _misfit(labels: int, attributes: list[str], classes: list[str], dataset: str) -> str:
    fits = [f"{labels} attributes", f"{labels} classes (with dataset=classes)"]
    missing = labels - len(attributes) - _MASK
    if missing > 0:
        fits.append(f"these attributes with {missing} classes (joint, with a mask of {_MASK})")
    return (
        f"the network has {labels} labels; given are {len(attributes)} attributes ({', '.join(attributes)}) and"
        f" {len(classes)} classes ({', '.join(classes)}) with dataset={dataset}. Options 'attributes' and 'classes'"
        f" must name its domains; what would fit is {', or '.join(fits)}"
    )


def _card(domains: Domains, options: Options) -> Model:
    by_dataset = 0 if domains.sets[0].exclusive else _CELEBA_CROP
    return Model(
        task=TASK_TRANSLATE,
        height=options.image_size,
        width=options.image_size,
        translation=Translation(
            sizes=Sizes(
                height_multiple=MULTIPLE,
                width_multiple=MULTIPLE,
                max_px=LARGEST_SIZE**2,
                default_fit=FIT_MODE_PAD,
                resampling=RESAMPLING_BILINEAR,
                tiles=options.tiles,
                center_crop=by_dataset if options.center_crop == _BY_DATASET else options.center_crop,
            ),
            domains=domains,
        ),
    )


FAMILY = Family(
    name="stargan",
    description="StarGAN (Choi et al. 2018), of one data set or of two joined by a mask",
    containers=("generator (<iteration>-G.ckpt), also as PyTorch before 0.4.1 wrote it",),
    options=Options,
    load=load,
)
