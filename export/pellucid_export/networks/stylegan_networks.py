"""The networks of StyleGAN: Karras, Laine, Aila, "A style-based generator architecture for GANs", CVPR 2019.

Section 2: a mapping network turns the latent z into the style w; the synthesis network starts from a learned constant,
and every layer ends with noise, leaky ReLU and an instance norm whose scale and shift are an affine function of w
(AdaIN). Modules have genforce's names.
"""

from collections.abc import Sequence
from math import sqrt

import torch
from torch import nn
from torch.nn import functional

from pellucid_export.networks.growing import Growth
from pellucid_export.networks.layers import Convolution, Dense, PixelNorm, Truncation, leaky

_EPSILON = 1e-8
_LEARNING_RATE = 0.01


class Mapping(nn.Module):
    """Latents (N, D), and labels (N, C) where there are classes, to styles (N, L, W): w once a layer.

    `widths` lists the numbers before and after the products; a label's embedding is as long as the latent.
    """

    def __init__(self, widths: Sequence[int], classes: int, layers: int) -> None:
        super().__init__()
        self.norm = PixelNorm()
        if classes:
            self.label_weight = nn.Parameter(torch.zeros(classes, widths[0] // 2))
        self._depth = len(widths) - 1
        for index in range(self._depth):
            dense = Dense(widths[index], widths[index + 1], gain=sqrt(2), multiplier=_LEARNING_RATE)
            self.add_module(f"dense{index}", dense)
        self._layers = layers

    def forward(self, latent: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        """Map a batch of latents."""
        w = latent if label is None else torch.cat([latent, label @ self.label_weight], dim=1)
        w = self.norm(w)
        for index in range(self._depth):
            w = leaky(self.get_submodule(f"dense{index}")(w))
        return w[:, None].repeat(1, self._layers, 1)


class Noise(nn.Module):
    """A layer's trained noise map (1, 1, r, r), and how much of it every channel gets."""

    noise: torch.Tensor

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels))
        self.register_buffer("noise", torch.zeros(1, 1, size, size))

    def forward(self, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Add noise (N, 1, r, r) to a batch (N, C, r, r)."""
        return x + noise * self.weight[:, None, None]


class Blur(nn.Module):
    """A low-pass filter for every channel."""

    kernel: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.zeros(channels, 1, 3, 3))
        self._channels = channels

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Blur a batch and add a bias."""
        return functional.conv2d(x, self.kernel, bias, padding=1, groups=self._channels)


class FirstLayer(nn.Module):
    """The learned constant (1, C, 4, 4), styled."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.const = nn.Parameter(torch.zeros(1, channels, 4, 4))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.apply_noise = Noise(channels, 4)
        self.style = Dense(width, 2 * channels)

    def forward(self, style: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """A style (N, W) and noise (N, 1, 4, 4) to features (N, C, 4, 4)."""
        x = self.apply_noise(self.const + self.bias[:, None, None], noise)
        return _styled(leaky(x), self.style(style))


class Layer(Convolution):
    """A convolution of features, styled; upsampled features are blurred."""

    def __init__(self, before: int, after: int, size: int, width: int, doubles: bool) -> None:
        super().__init__(before, after, doubles=doubles)
        self.blur = Blur(after) if doubles else None
        self.apply_noise = Noise(after, size)
        self.style = Dense(width, 2 * after)

    def forward(self, x: torch.Tensor, style: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Features, a style (N, W) and noise (N, 1, r, r) to features (N, C, r, r)."""
        x = self.convolved(x, self.bias) if self.blur is None else self.blur(self.convolved(x, None), self.bias)
        return _styled(leaky(self.apply_noise(x, noise)), self.style(style))


class Synthesis(nn.Module):
    """Styles (N, L, W) and noise to images (N, colours, H, W) in about [-1, 1].

    `channels` lists the features of every block.
    """

    def __init__(self, channels: Sequence[int], width: int, grown: Growth, colours: int = 3) -> None:
        super().__init__()
        self.register_buffer("lod", torch.zeros(()))
        for block, after in enumerate(channels):
            size, before = 4 << block, channels[max(block - 1, 0)]
            first = Layer(before, after, size, width, doubles=True) if block else FirstLayer(after, width)
            self.add_module(f"layer{2 * block}", first)
            self.add_module(f"layer{2 * block + 1}", Layer(after, after, size, width, doubles=False))
            self.add_module(f"output{block}", Convolution(after, colours, kernel=1, gain=1.0))
        self._grown = grown

    def forward(self, style: torch.Tensor, noise: Sequence[torch.Tensor]) -> torch.Tensor:
        """Generate a batch of images from a style and a noise map (N, 1, r, r) a layer."""
        x = self.get_submodule("layer0")(style[:, 0], noise[0])
        features: list[torch.Tensor] = []
        for layer in range(1, 2 * self._grown.in_use):
            x = self.get_submodule(f"layer{layer}")(x, style[:, layer], noise[layer])
            if layer % 2:
                features.append(x)  # (N, C, r, r)
        return self._grown.image(features, self._outputs())

    def trained_noise(self) -> list[torch.Tensor]:
        """The trained map (1, 1, r, r) of every layer."""
        return [part.noise for part in self.modules() if isinstance(part, Noise)]

    def _outputs(self) -> list[nn.Module]:
        return [self.get_submodule(f"output{block}") for block in range(self._grown.blocks)]


class Generator(nn.Module):
    """Mapping, truncation and synthesis: the tensors of a checkpoint."""

    def __init__(self, mapping: Mapping, synthesis: Synthesis, width: int) -> None:
        super().__init__()
        self.mapping = mapping
        self.truncation = Truncation(width)
        self.synthesis = synthesis


def _styled(x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
    """Normalise every channel of (N, C, r, r), then scale and shift it by the style (N, 2C)."""
    scale, shift = style[:, :, None, None].chunk(2, dim=1)
    # NOTE: `functional.instance_norm` compares sizes first, which tracing refuses.
    normalised = torch.instance_norm(x, None, None, None, None, True, 0.0, _EPSILON, False)
    return normalised * (scale + 1) + shift
