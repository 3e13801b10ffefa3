"""A folder as AttnGAN's authors published it for birds, with random weights of the published shapes."""

import pickle
import re
from pathlib import Path

import torch
from torch import nn

from pellucid_export.networks.caption_encoder import CaptionEncoder
from pellucid_export.networks.caption_generator import CaptionGenerator, Dimensions

BIRDS = Dimensions(features=32, words=256, condition=100, latent=100, residuals=2, paints_all_sizes=True)
COCO = Dimensions(features=48, words=256, condition=100, latent=100, residuals=3, paints_all_sizes=True)
BIRDS_DCGAN = Dimensions(features=32, words=256, condition=100, latent=100, residuals=0, paints_all_sizes=False)
WORDS = 5450
# Enough for a variance, few enough for 256 x 256 features.
_ROWS = 12


def write(folder: Path, seed: int = 0, size: Dimensions = BIRDS, words: int = WORDS, embedding: int = 300) -> Path:
    """Write text_encoder200.pth, bird_AttnGAN2.pth and captions.pickle to `folder`, by default at the birds' sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = CaptionEncoder(words, embedding, size.words // 2)
        generator = settled(CaptionGenerator(size, "float32"), size)
    torch.save(encoder_state(encoder), folder / "text_encoder200.pth")
    torch.save(without_counts(generator), folder / "bird_AttnGAN2.pth")
    (folder / "captions.pickle").write_bytes(captions(["<end>", *(f"word{index}" for index in range(1, words))]))
    return folder


def settled(generator: CaptionGenerator, size: Dimensions) -> CaptionGenerator:
    """The generator with the batch norms' statistics of one batch, which keep features at a unit scale."""
    for layer in generator.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.momentum = 1.0
    shapes = (size.latent,), (size.condition,), (size.words, 5), (size.words,), (5,)
    with torch.no_grad():
        generator.train()(*(torch.randn(_ROWS, *shape) for shape in shapes))
    return generator.eval()


def without_counts(module: nn.Module) -> dict[str, torch.Tensor]:
    """A state dict as PyTorch 0.3 wrote it, without counts of batches."""
    return {key: value for key, value in module.state_dict().items() if not key.endswith("num_batches_tracked")}


def encoder_state(encoder: CaptionEncoder) -> dict[str, torch.Tensor]:
    """The state dict of an encoder with one network in both directions."""
    return {re.sub(r"^reverse\.(.+)$", r"rnn.\1_reverse", key): value for key, value in encoder.state_dict().items()}


def captions(words: list[str]) -> bytes:
    """The content of a captions.pickle."""
    tables = dict(enumerate(words)), {word: number for number, word in enumerate(words)}
    return pickle.dumps([[[1]], [[1]], *tables], protocol=2)
