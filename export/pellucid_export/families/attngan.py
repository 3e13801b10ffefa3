"""AttnGAN: Xu et al., "AttnGAN: fine-grained text to image generation with attentional generative adversarial
networks", 2018.

A checkpoint is a folder of three files: the weights of a text encoder and of a generator, which are two graphs here,
and the pickle with the vocabulary they were trained on.
"""

import dataclasses
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from pellucid.v1.latent_pb2 import SPACE_Z
from pellucid.v1.model_pb2 import (
    PRIOR_NORMAL,
    TASK_CAPTION_TO_IMAGE,
    CaptionInput,
    ConditioningNoise,
    ImageOutput,
    LatentPrior,
    LatentSpace,
    Model,
)
from pellucid_export.containers import caption_pickle, checkpoints
from pellucid_export.errors import CheckpointError, FamilyError
from pellucid_export.family import Family, Network, Signature, Stage, Tensor
from pellucid_export.networks import caption_encoder
from pellucid_export.networks.caption_generator import SIZES, CaptionGenerator, Dimensions
from pellucid_export.networks.pixels import Pixels, image_tensor

VOCABULARY_ASSET = "vocabulary.json"

_ENCODERS = ("text_encoder*.pth",)
_GENERATORS = ("netG*.pth", "*AttnGAN2.pth", "*AttnDCGAN2.pth")
_CAPTIONS = ("captions.pickle",)
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Options:
    """What can be chosen at export; `max_tokens` is the longest caption, in words of the vocabulary."""

    pixels: Pixels = "uint8"
    # WORDS_NUM of the official evaluation of birds.
    max_tokens: int = 25

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise FamilyError(f"option 'max_tokens' must be at least 1, not {self.max_tokens}")


def load(path: Path, options: Options) -> Network:
    """Read the folder of a text encoder, a generator and their captions.pickle, whose sizes must fit each other."""
    if not path.is_dir():
        parts = ", ".join((*_ENCODERS, _GENERATORS[0], *_CAPTIONS))
        raise CheckpointError(f"{path}: a folder with {parts} is expected")
    encoder_file, generator_file = _only(path, "text encoder", _ENCODERS), _only(path, "generator", _GENERATORS)
    vocabulary = caption_pickle.read(_only(path, "vocabulary", _CAPTIONS))
    encoder_state, generator_state = checkpoints.load_state(encoder_file), checkpoints.load_state(generator_file)
    encoder = caption_encoder.load(encoder_state, encoder_file.name)
    size = _dimensions(generator_state, generator_file.name)
    _check(encoder, vocabulary, size)
    generator = CaptionGenerator(size, options.pixels)
    checkpoints.load_strictly(generator, generator_state, f"an AttnGAN ({size}) in {generator_file.name}")
    asset = json.dumps(vocabulary, ensure_ascii=False, indent=0, sort_keys=True).encode()
    return Network(
        stages=(
            Stage("text_encoder", encoder, _encoder_signature(vocabulary, size, options)),
            Stage("generator", generator.eval(), _generator_signature(size, options)),
        ),
        card=_card(size, options),
        weights_digest=_digest(encoder_state, generator_state, asset),
        assets={VOCABULARY_ASSET: asset},
    )


def _only(folder: Path, what: str, patterns: Iterable[str]) -> Path:
    """The one file of the folder that fits a pattern. Raises CheckpointError, naming several."""
    found = sorted({file for pattern in patterns for file in folder.glob(pattern) if file.is_file()})
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise CheckpointError(f"{folder.name}: one {what} ({' or '.join(patterns)}) is expected, found {names}")
    return found[0]


def _dimensions(state: checkpoints.State, file: str) -> Dimensions:
    """The sizes that the shapes of a generator's weights tell. Raises CheckpointError where they are not AttnGAN's."""
    shapes = {key: tuple(state[key].shape) for key in ("ca_net.fc.weight", "h_net1.fc.0.weight") if key in state}
    if len(shapes) != 2 or any(len(shape) != 2 for shape in shapes.values()):
        raise CheckpointError(
            f"{file}: not an AttnGAN: matrices ca_net.fc.weight and h_net1.fc.0.weight are expected, found"
            f" {', '.join(f'{key} {shape}' for key, shape in shapes.items()) or ', '.join(sorted(state)[:5])}"
        )
    (moments, words), (rows, inputs) = shapes.values()
    condition = moments // 4
    # 2 (gate) * 16 * GF_DIM channels of 4 x 4.
    features = rows // 512
    if not (words and condition and features and inputs > condition):
        raise CheckpointError(
            f"{file}: not an AttnGAN: ca_net.fc.weight must be (4 C, E) and h_net1.fc.0.weight (512 F, C + Z),"
            f" found {(moments, words)} and {(rows, inputs)}"
        )
    residuals = {found[1] for key in state if (found := re.match(r"h_net2\.residual\.(\d+)\.", key))}
    paints_all_sizes = not any(key.startswith("img_net.") for key in state)
    return Dimensions(features, words, condition, inputs - condition, len(residuals), paints_all_sizes)


def _check(encoder: caption_encoder.CaptionEncoder, vocabulary: dict[str, int], size: Dimensions) -> None:
    rows, words = encoder.encoder.num_embeddings, len(vocabulary) + 1
    if rows != words:
        raise CheckpointError(
            f"the text encoder knows {rows} words and captions.pickle lists {words} (both with the end of a caption):"
            " they are not of one training, and a rebuilt vocabulary fits no published encoder"
        )
    width = 2 * encoder.rnn.hidden_size
    if width != size.words:
        raise CheckpointError(f"the text encoder gives words of {width} numbers, the generator takes {size.words}")


def _digest(encoder: checkpoints.State, generator: checkpoints.State, vocabulary: bytes) -> str:
    """Over all weights and the vocabulary: weights that read other words are another model's."""
    return checkpoints.digest(
        {f"text_encoder.{key}": value for key, value in encoder.items()}
        | {f"generator.{key}": value for key, value in generator.items()}
        | {VOCABULARY_ASSET: torch.frombuffer(bytearray(vocabulary), dtype=torch.uint8)}
    )


def _encoded(size: Dimensions, options: Options) -> tuple[Tensor, ...]:
    """What goes from the text encoder to the generator; a recurrent network's outputs lie in (-1, 1)."""
    return (
        Tensor("words", "float32", (size.words, options.max_tokens), low=-1, high=1, tolerance=_TOLERANCE),
        Tensor("sentence", "float32", (size.words,), low=-1, high=1, tolerance=_TOLERANCE),
        Tensor("word_mask", "float32", (options.max_tokens,), low=0, high=1, tolerance=_TOLERANCE),
    )


def _encoder_signature(vocabulary: dict[str, int], size: Dimensions, options: Options) -> Signature:
    return Signature(
        inputs=(
            Tensor("tokens", "int64", (options.max_tokens,), low=0, high=len(vocabulary)),
            Tensor("token_count", "int64", (1,), low=1, high=options.max_tokens),
        ),
        outputs=_encoded(size, options),
    )


def _generator_signature(size: Dimensions, options: Options) -> Signature:
    image, small, middle = (image_tensor(options.pixels, pixels, pixels) for pixels in (SIZES[2], SIZES[0], SIZES[1]))
    smaller = [dataclasses.replace(tensor, name=f"image_{tensor.shape[0]}") for tensor in (small, middle)]
    return Signature(
        inputs=(
            Tensor("latent", "float32", (size.latent,)),
            Tensor("conditioning_noise", "float32", (size.condition,)),
            *_encoded(size, options),
        ),
        outputs=(
            image,
            *(smaller if size.paints_all_sizes else ()),
            *(
                Tensor(f"attention_{side}", "float32", (options.max_tokens, side, side), low=0, high=1)
                for side in SIZES[:2]
            ),
        ),
    )


def _card(size: Dimensions, options: Options) -> Model:
    smaller = SIZES[:2]
    painted = smaller if size.paints_all_sizes else ()
    return Model(
        task=TASK_CAPTION_TO_IMAGE,
        height=SIZES[2],
        width=SIZES[2],
        latent=LatentPrior(size=size.latent, prior=PRIOR_NORMAL),
        spaces=[LatentSpace(space=SPACE_Z, size=size.latent, layers=1)],
        caption=CaptionInput(
            max_tokens=options.max_tokens,
            vocabulary_asset=VOCABULARY_ASSET,
            attention=[ImageOutput(tensor=f"attention_{side}", height=side, width=side) for side in smaller],
        ),
        intermediates=[ImageOutput(tensor=f"image_{side}", height=side, width=side) for side in painted],
        conditioning=ConditioningNoise(size=size.condition),
    )


FAMILY = Family(
    name="attngan",
    description="AttnGAN and AttnDCGAN (Xu et al. 2018): 256 x 256 images from captions",
    containers=("folder with text_encoder*.pth, netG*.pth or *Attn(DC)GAN2.pth, and captions.pickle",),
    options=Options,
    load=load,
)
