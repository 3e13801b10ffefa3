"""BigGAN and BigGAN-deep (Brock et al., "Large scale GAN training for high fidelity natural image synthesis", 2019).

Two kinds of files are read. pytorch-pretrained-BigGAN's hold DeepMind's BigGAN-deep, with batch norm statistics for
every truncation; its `truncation` is therefore an input of the graph as well as a factor of the latent. The files of
BigGAN-PyTorch know one set of statistics, and truncation is nothing but the factor.
"""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from torch import nn

from pellucid.v1.latent_pb2 import SPACE_Z
from pellucid.v1.model_pb2 import (
    OFFICIAL_SAMPLER_TRUNCNORM,
    PRIOR_NORMAL,
    PRIOR_TRUNCATED_NORMAL,
    TASK_GENERATE,
    ClassList,
    LatentPrior,
    LatentSpace,
    Model,
    TruncationRange,
)
from pellucid_export.containers import biggan_folder, checkpoints
from pellucid_export.errors import CheckpointError, FamilyError
from pellucid_export.family import Family, Network, Signature, Stage, Tensor
from pellucid_export.networks import biggan_deep, biggan_pytorch
from pellucid_export.networks.pixels import Pixels, image_tensor

_IMAGENET_CLASSES = 1000
# The official samplers' bound, in standard deviations, before scaling.
_BOUND = 2
# The official code takes any truncation above 0; 0.4 is what its sampler takes where nothing is said.
_LEAST_TRUNCATION, _USUAL_TRUNCATION = 0.001, 0.4


@dataclass(frozen=True)
class Options:
    """What can be chosen at export.

    `bn_eps` is the epsilon of the norms of BigGAN-PyTorch's files, which do not tell it (its `--BN_eps`); for
    pytorch-pretrained-BigGAN it stands in config.json.
    """

    pixels: Pixels = "uint8"
    bn_eps: float = 1e-5


def load(path: Path, options: Options) -> Network:
    """Read a folder of pytorch-pretrained-BigGAN or a file of BigGAN-PyTorch."""
    if not 0 < options.bn_eps < 1:
        raise FamilyError(f"option 'bn_eps' must be between 0 and 1, not {options.bn_eps:g}")
    if path.is_dir():
        return _deepminds(path, options)
    state = checkpoints.load_state(path)
    if "generator.gen_z.weight_orig" in state:
        raise CheckpointError(
            f"{path.name} is half of a model: give the folder that has its {biggan_folder.CONFIG} too"
        )
    generator = biggan_pytorch.load(state, options.bn_eps, options.pixels)
    layout = generator.layout
    card = _card(layout.size, layout.latent, layout.classes)
    card.latent.prior = PRIOR_NORMAL
    card.truncation.CopyFrom(TruncationRange(min=0, max=1, default_value=1, scales_prior=True))
    stage = _stage(generator, card, options.pixels)
    return Network((stage,), card, checkpoints.digest(state))


def _deepminds(folder: Path, options: Options) -> Network:
    layout, state = biggan_folder.read(folder)
    card = _card(layout.size, layout.latent, layout.classes)
    card.latent.MergeFrom(
        LatentPrior(prior=PRIOR_TRUNCATED_NORMAL, truncation_bound=_BOUND, official_sampler=OFFICIAL_SAMPLER_TRUNCNORM)
    )
    card.truncation.CopyFrom(
        TruncationRange(min=_LEAST_TRUNCATION, max=1, default_value=_USUAL_TRUNCATION, scales_prior=True)
    )
    truncation = Tensor("truncation", "float64", (1,), low=_LEAST_TRUNCATION, high=1.0)
    stage = _stage(biggan_deep.load(layout, state, options.pixels), card, options.pixels, truncation)
    return Network((stage,), card, checkpoints.digest(state))


def _stage(generator: nn.Module, card: Model, pixels: Pixels, *more: Tensor) -> Stage:
    classes = len(card.classes.names)
    latent = Tensor("latent", "float32", (card.latent.size,))
    # Weights sum to 1, and so do those that are drawn to compare graphs, nearly: many in this range.
    label = Tensor("label", "float32", (classes,), low=0.0, high=2 / classes)
    image = image_tensor(pixels, card.height, card.width)
    return Stage("synthesis", generator, Signature((latent, label, *more), (image,)))


def _card(size: int, latent: int, classes: int) -> Model:
    return Model(
        task=TASK_GENERATE,
        height=size,
        width=size,
        latent=LatentPrior(size=latent),
        spaces=[LatentSpace(space=SPACE_Z, size=latent, layers=1)],
        classes=ClassList(names=_class_names(classes)),
    )


def _class_names(count: int) -> list[str]:
    """Names by index: ImageNet's where there are as many, numbers otherwise."""
    if count != _IMAGENET_CLASSES:
        return [f"class_{index}" for index in range(count)]
    names = resources.files("pellucid_export.datasets") / "imagenet_classes.txt"
    return names.read_text(encoding="utf-8").splitlines()


FAMILY = Family(
    name="biggan",
    description="BigGAN and BigGAN-deep (Brock et al. 2019)",
    containers=(
        f"folder of pytorch-pretrained-BigGAN: {biggan_folder.WEIGHTS} and {biggan_folder.CONFIG}",
        "generator of BigGAN-PyTorch (G_ema.pth, G.pth)",
    ),
    options=Options,
    load=load,
)
