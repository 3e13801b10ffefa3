"""A generator from captions: red of pixel k is 128 + 25 * z_k, green the sum of the words' numbers, blue 128 + 25 * the
conditioning noise."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from pellucid.v1.latent_pb2 import SPACE_Z
from pellucid.v1.model_pb2 import (
    PRIOR_NORMAL,
    TASK_CAPTION_TO_IMAGE,
    CaptionInput,
    ConditioningNoise,
    LatentPrior,
    LatentSpace,
    Model,
)
from pellucid_export.family import Family, Network, Signature, Stage, Tensor

SIZE, LONGEST = 4, 5


@dataclass(frozen=True)
class Options:
    """None."""


class Encoder(nn.Module):
    """Tokens (N, 5) to the sum (N, 1) of as many of them as count."""

    def forward(self, tokens: torch.Tensor, token_count: torch.Tensor) -> torch.Tensor:
        counts = torch.arange(LONGEST)[None] < token_count
        return (tokens * counts).sum(1, keepdim=True).float()


class Painter(nn.Module):
    """To images (N, 1, 4, 3)."""

    def forward(self, latent: torch.Tensor, conditioning_noise: torch.Tensor, sentence: torch.Tensor) -> torch.Tensor:
        colours = (128 + 25 * latent, sentence.expand(-1, SIZE), 128 + 25 * conditioning_noise)
        return torch.stack(colours, dim=2).round().clamp(0, 255).to(torch.uint8)[:, None]


def load(_path: Path, _options: Options) -> Network:
    sentence = Tensor("sentence", "float32", (1,))
    words = (Tensor("tokens", "int64", (LONGEST,), low=0, high=9), Tensor("token_count", "int64", (1,), low=1, high=5))
    others = (Tensor("latent", "float32", (SIZE,)), Tensor("conditioning_noise", "float32", (SIZE,)))
    image = Tensor("image", "uint8", (1, SIZE, 3), low=0, high=255)
    return Network(
        stages=(
            Stage("text_encoder", Encoder().eval(), Signature(words, (sentence,))),
            Stage("synthesis", Painter().eval(), Signature((*others, sentence), (image,))),
        ),
        card=Model(
            task=TASK_CAPTION_TO_IMAGE,
            height=1,
            width=SIZE,
            latent=LatentPrior(size=SIZE, prior=PRIOR_NORMAL),
            spaces=[LatentSpace(space=SPACE_Z, size=SIZE, layers=1)],
            caption=CaptionInput(max_tokens=LONGEST, vocabulary_asset="vocabulary.json"),
            conditioning=ConditioningNoise(size=SIZE),
        ),
        weights_digest=f"sha256:{'c' * 64}",
        assets={"vocabulary.json": b'{"the": 1, "small": 10, "red": 100, "bird": 7, "s": 5}'},
    )


FAMILY = Family("toy_captioned", "An encoder of words and a painter", (), Options, load)
