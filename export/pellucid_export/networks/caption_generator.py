"""The generator of AttnGAN: a sentence begins an image, words refine it (Xu et al. 2018, section 3.1).

The names of submodules are those of the published weights. The paper's F^ca is `ca_net`, F0 `h_net1`, Fi^attn
`h_net{i}.att`, Fi the rest of `h_net{i}`, and Gi `img_net{i + 1}`.
"""

from dataclasses import dataclass

import torch
from torch import nn

from pellucid_export.networks.pixels import PixelOutput, Pixels

SIZES = (64, 128, 256)
"""Pixels of a side after each of the three steps."""

_FIRST = 4
_DOUBLINGS = 4
# Low enough for a weight of exactly 0 beside any word's, and finite, so that a caption without words is too.
_NEVER = torch.finfo(torch.float32).min


@dataclass(frozen=True)
class Dimensions:
    """What generators differ in, by the names of the official configuration where it has one.

    `features` (GF_DIM) is the width of images on their way, `words` (EMBEDDING_DIM) a word's, `condition`
    (CONDITION_DIM) a resampled sentence's, `latent` (Z_DIM) the noise's; `residuals` (R_NUM) counts the blocks of a
    refinement. `paints_all_sizes` is false for the variant AttnDCGAN, which paints 256 pixels only.
    """

    features: int
    words: int
    condition: int
    latent: int
    residuals: int
    paints_all_sizes: bool

    def __str__(self) -> str:
        return (
            f"GF_DIM {self.features}, EMBEDDING_DIM {self.words}, CONDITION_DIM {self.condition}, Z_DIM {self.latent},"
            f" R_NUM {self.residuals}, B_DCGAN {not self.paints_all_sizes}"
        )


class Conditioning(nn.Module):
    """A normal distribution around a sentence: conditioning augmentation (StackGAN, Zhang et al. 2017, section 3.2)."""

    def __init__(self, words: int, condition: int) -> None:
        super().__init__()
        self.fc = nn.Linear(words, 4 * condition)
        self.gate = nn.GLU(1)

    def moments(self, sentence: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and logarithm of the variance, each (N, condition), of sentences (N, words)."""
        mean, log_variance = self.gate(self.fc(sentence)).chunk(2, dim=1)
        return mean, log_variance

    def forward(self, sentence: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """A draw (N, condition) from each sentence's distribution; noise 0 gives its mean."""
        mean, log_variance = self.moments(sentence)
        return noise * (0.5 * log_variance).exp() + mean


class Attention(nn.Module):
    """Mixes words for every place of a feature map, by how well they fit it."""

    def __init__(self, features: int, words: int) -> None:
        super().__init__()
        self.conv_context = nn.Conv2d(words, features, 1, bias=False)

    def forward(
        self, features: torch.Tensor, words: torch.Tensor, is_word: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (N, C, H, W), words (N, E, T), mask (N, T) to mixtures (N, C, H, W) and weights (N, T, H, W).

        NOTE: the official code gives row r of the samples' joined places the mask of sample r mod N, so that samples
        of unequal length mask each other's words. Here each has its own, as in the official code for one sample.
        """
        area = features.shape[2:]
        context = self.conv_context(words[..., None])[..., 0]  # (N, C, T)
        scores = features.flatten(2).transpose(1, 2) @ context  # (N, H * W, T)
        weights = scores.masked_fill(~is_word[:, None], _NEVER).softmax(dim=2).transpose(1, 2)  # (N, T, H * W)
        return (context @ weights).unflatten(2, area), weights.unflatten(2, area)


class Residual(nn.Module):
    """Two convolutions around a gate, added to what comes in (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            _convolution(channels, 2 * channels),
            nn.BatchNorm2d(2 * channels),
            nn.GLU(1),
            _convolution(channels, channels),
            nn.BatchNorm2d(channels),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Refine a batch."""
        refined: torch.Tensor = features + self.block(features)
        return refined


class Beginning(nn.Module):
    """Conditions and latents to features (N, C, 64, 64)."""

    def __init__(self, size: Dimensions) -> None:
        super().__init__()
        self.width = size.features * 2**_DOUBLINGS
        rows = 2 * self.width * _FIRST * _FIRST
        inputs = size.condition + size.latent
        self.fc = nn.Sequential(nn.Linear(inputs, rows, bias=False), nn.BatchNorm1d(rows), nn.GLU(1))
        self.upsample1 = _doubled(self.width, self.width // 2)
        self.upsample2 = _doubled(self.width // 2, self.width // 4)
        self.upsample3 = _doubled(self.width // 4, self.width // 8)
        self.upsample4 = _doubled(self.width // 8, self.width // 16)

    def forward(self, condition: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Begin a batch."""
        features: torch.Tensor = self.fc(torch.cat([condition, latent], dim=1))
        features = features.reshape(-1, self.width, _FIRST, _FIRST)
        for upsample in (self.upsample1, self.upsample2, self.upsample3, self.upsample4):
            features = upsample(features)
        return features


class Refinement(nn.Module):
    """Features of one size and words to features of twice the size, and the words' weights."""

    def __init__(self, size: Dimensions) -> None:
        super().__init__()
        self.att = Attention(size.features, size.words)
        self.residual = nn.Sequential(*(Residual(2 * size.features) for _ in range(size.residuals)))
        self.upsample = _doubled(2 * size.features, size.features)

    def forward(
        self, features: torch.Tensor, words: torch.Tensor, is_word: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (N, C, H, W) to (N, C, 2 H, 2 W), and weights (N, T, H, W)."""
        mixture, weights = self.att(features, words, is_word)
        return self.upsample(self.residual(torch.cat([features, mixture], dim=1))), weights


class Painting(nn.Module):
    """Features (N, C, H, W) to images (N, 3, H, W) in [-1, 1]."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.img = nn.Sequential(_convolution(features, 3), nn.Tanh())

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Paint a batch."""
        image: torch.Tensor = self.img(features)
        return image


class CaptionGenerator(nn.Module):
    """Latents and encoded captions to images and attention; see `forward`."""

    def __init__(self, size: Dimensions, pixels: Pixels) -> None:
        super().__init__()
        self.ca_net = Conditioning(size.words, size.condition)
        self.h_net1 = Beginning(size)
        self.h_net2 = Refinement(size)
        self.h_net3 = Refinement(size)
        self.paints_all_sizes = size.paints_all_sizes
        if size.paints_all_sizes:
            self.img_net1, self.img_net2, self.img_net3 = (Painting(size.features) for _ in SIZES)
        else:
            self.img_net = Painting(size.features)
        self.output = PixelOutput(pixels)

    def forward(
        self,
        latent: torch.Tensor,
        conditioning_noise: torch.Tensor,
        words: torch.Tensor,
        sentence: torch.Tensor,
        word_mask: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Images (N, H, W, 3) of 256, 64 and 128 pixels, or 256 alone, then the words' weights (N, T, H, W) at 64, 128.

        `latent` is (N, latent), `conditioning_noise` (N, condition), `words` (N, E, T), `sentence` (N, E) and
        `word_mask` (N, T), above 0.5 for words.
        """
        is_word = word_mask > 0.5
        small = self.h_net1(self.ca_net(sentence, conditioning_noise), latent)
        middle, attention_small = self.h_net2(small, words, is_word)
        large, attention_middle = self.h_net3(middle, words, is_word)
        if self.paints_all_sizes:
            images = [self.img_net3(large), self.img_net1(small), self.img_net2(middle)]
        else:
            images = [self.img_net(large)]
        return *(self.output(image) for image in images), attention_small, attention_middle


def _convolution(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1, bias=False)


def _doubled(before: int, after: int) -> nn.Sequential:
    """Twice the height and width, each pixel repeated, then a gated convolution."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"),
        _convolution(before, 2 * after),
        nn.BatchNorm2d(2 * after),
        nn.GLU(1),
    )
