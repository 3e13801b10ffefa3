"""BigGAN-deep with statistics for every truncation: DeepMind's modules, as pytorch-pretrained-BigGAN holds them.

Names follow its files. The latent z and the embedding of the class are one condition for the first layer and for all
norms. A norm has its mean and variance for `statistics` truncations from 0 to 1, since they change with the spread
of the latents.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from pellucid_export.containers import checkpoints
from pellucid_export.containers.checkpoints import State
from pellucid_export.networks import spectral_norm
from pellucid_export.networks.biggan_blocks import REDUCTION, attended, bottleneck, normed
from pellucid_export.networks.pixels import PixelOutput, Pixels

FIRST_SIZE = 4
FIRST_WIDTH = 16
_COLOURS = 3


class Given(NamedTuple):
    """What the norms depend on: `vector` (N, latent + embedding), and `rows` (N, statistics), the weights of the
    tables' rows.
    """

    vector: torch.Tensor
    rows: torch.Tensor


class LayerLayout(NamedTuple):
    """One block: whether it doubles the resolution, and its width before and after, in units of Layout.width."""

    doubles: bool
    before: int
    after: int


@dataclass(frozen=True)
class Layout:
    """The sizes of a network. `attention` is the block in front of which attention stands, if there is one."""

    latent: int
    embedding: int
    classes: int
    width: int
    layers: tuple[LayerLayout, ...]
    attention: int
    epsilon: float
    statistics: int

    @property
    def size(self) -> int:
        """Height and width of images in pixels."""
        size: int = FIRST_SIZE * 2 ** sum(layer.doubles for layer in self.layers)
        return size


class TruncationRows(nn.Module):
    """Truncations (N, 1), float64 in (0, 1], to the weights (N, statistics) of the tables' rows, float32.

    The official arithmetic in every respect, for which float32 is not enough: 0.14, 0.28 and 0.56 are a little more
    than 7, 14 and 28 steps, and so stand for the row after; 0.58 and 0.94 are a little less than 29 and 47, and stand
    for the row before.
    """

    step: torch.Tensor
    indices: torch.Tensor

    def __init__(self, statistics: int) -> None:
        super().__init__()
        # A tensor, because some devices divide by a number through its reciprocal, which rounds otherwise.
        step = torch.tensor([1 / (statistics - 1)], dtype=torch.float64)
        self.register_buffer("step", step, persistent=False)
        self.register_buffer("indices", torch.arange(statistics, dtype=torch.float64), persistent=False)

    def forward(self, truncation: torch.Tensor) -> torch.Tensor:
        """Weigh the rows for a batch."""
        place = truncation / self.step
        row = place.floor()
        share = place - row
        # NOTE: the share belongs to the row above, but the official code gives it to the row below, and with these
        # weights the published images were made.
        below = torch.where(share == 0, torch.ones_like(share), share)
        weights = (self.indices == row) * below + (self.indices == row + 1) * (1 - below)
        return weights.to(torch.float32)


class ConditionalNorm(nn.Module):
    """Batch norm of which the condition gives gain (less 1) and bias, and the truncation the statistics."""

    running_means: torch.Tensor
    running_vars: torch.Tensor

    def __init__(self, channels: int, layout: Layout) -> None:
        super().__init__()
        self.epsilon = layout.epsilon
        condition = layout.latent + layout.embedding
        self.register_buffer("running_means", torch.zeros(layout.statistics, channels))
        self.register_buffer("running_vars", torch.ones(layout.statistics, channels))
        self.scale = nn.Linear(condition, channels, bias=False)
        self.offset = nn.Linear(condition, channels, bias=False)

    def forward(self, x: torch.Tensor, given: Given) -> torch.Tensor:
        """Normalise features (N, C, H, W)."""
        mean, variance = given.rows @ self.running_means, given.rows @ self.running_vars
        return normed(x, mean, variance, self.epsilon, 1 + self.scale(given.vector), self.offset(given.vector))


class LastNorm(nn.Module):
    """Batch norm of which the truncation gives the statistics; gain and bias are those of all classes."""

    running_means: torch.Tensor
    running_vars: torch.Tensor

    def __init__(self, channels: int, layout: Layout) -> None:
        super().__init__()
        self.epsilon = layout.epsilon
        self.register_buffer("running_means", torch.zeros(layout.statistics, channels))
        self.register_buffer("running_vars", torch.ones(layout.statistics, channels))
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor, given: Given) -> torch.Tensor:
        """Normalise features (N, C, H, W)."""
        mean, variance = given.rows @ self.running_means, given.rows @ self.running_vars
        return normed(x, mean, variance, self.epsilon, self.weight, self.bias)


class Block(nn.Module):
    """BigGAN-deep's block."""

    def __init__(self, block: LayerLayout, layout: Layout) -> None:
        super().__init__()
        before, self.after, self.doubles = block.before * layout.width, block.after * layout.width, block.doubles
        inner = before // REDUCTION
        self.bn_0 = ConditionalNorm(before, layout)
        self.conv_0 = nn.Conv2d(before, inner, 1)
        self.bn_1 = ConditionalNorm(inner, layout)
        self.conv_1 = nn.Conv2d(inner, inner, 3, padding=1)
        self.bn_2 = ConditionalNorm(inner, layout)
        self.conv_2 = nn.Conv2d(inner, inner, 3, padding=1)
        self.bn_3 = ConditionalNorm(inner, layout)
        self.conv_3 = nn.Conv2d(inner, self.after, 1)

    def forward(self, x: torch.Tensor, given: Given) -> torch.Tensor:
        """Features (N, before, H, W) to (N, after, H or 2H, W or 2W)."""
        norms = (self.bn_0, self.bn_1, self.bn_2, self.bn_3)
        layers = (self.conv_0, self.conv_1, self.conv_2, self.conv_3)
        return bottleneck(x, given, norms, layers, self.after, self.doubles)


class Attention(nn.Module):
    """Self-attention among the blocks; the condition has no part in it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.snconv1x1_theta = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.snconv1x1_phi = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.snconv1x1_g = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.snconv1x1_o_conv = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor, _given: Given) -> torch.Tensor:
        """Add what each place of (N, C, H, W) sees of the others."""
        layers = (self.snconv1x1_theta, self.snconv1x1_phi, self.snconv1x1_g, self.snconv1x1_o_conv)
        return x + self.gamma * attended(x, *layers)


class Trunk(nn.Module):
    """What pytorch-pretrained-BigGAN calls the generator: condition to image (N, 3, H, W) in [-1, 1]."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.gen_z = nn.Linear(layout.latent + layout.embedding, FIRST_SIZE**2 * FIRST_WIDTH * layout.width)
        self.layers = nn.ModuleList()
        for index, layer in enumerate(layout.layers):
            if index == layout.attention:
                self.layers.append(Attention(layer.before * layout.width))
            self.layers.append(Block(layer, layout))
        self.bn = LastNorm(layout.width, layout)
        self.conv_to_rgb = nn.Conv2d(layout.width, layout.width, 3, padding=1)

    def forward(self, given: Given) -> torch.Tensor:
        """Generate a batch of images."""
        # The first layer's output has the channels last: (N, 4, 4, C).
        x = torch.unflatten(self.gen_z(given.vector), 1, (FIRST_SIZE, FIRST_SIZE, -1)).permute(0, 3, 1, 2)
        for layer in self.layers:
            x = layer(x, given)
        image: torch.Tensor = self.conv_to_rgb(self.bn(x, given).relu())
        return image[:, :_COLOURS].tanh()


class Generator(nn.Module):
    """Latents (N, latent), labels (N, classes) and truncations (N, 1) in float64 to images (N, H, W, 3).

    The latents are taken as they are: truncating them is for those who draw them.
    """

    def __init__(self, layout: Layout, pixels: Pixels) -> None:
        super().__init__()
        self.embeddings = nn.Linear(layout.classes, layout.embedding, bias=False)
        self.generator = Trunk(layout)
        self.rows = TruncationRows(layout.statistics)
        self.output = PixelOutput(pixels)

    def forward(self, latent: torch.Tensor, label: torch.Tensor, truncation: torch.Tensor) -> torch.Tensor:
        """Generate a batch of images."""
        vector = torch.cat([latent, self.embeddings(label)], dim=1)
        image: torch.Tensor = self.output(self.generator(Given(vector, self.rows(truncation))))
        return image


def load(layout: Layout, state: State, pixels: Pixels) -> Generator:
    """The network with the weights of a file, ready to run. Raises CheckpointError where they do not fit."""
    generator = Generator(layout, pixels)
    what = f"a BigGAN-deep of {layout.size} x {layout.size} pixels and {layout.classes} classes (config.json)"
    checkpoints.load_strictly(generator, spectral_norm.fold(state), what)
    generator.generator.conv_to_rgb = _colours(generator.generator.conv_to_rgb)
    return generator.eval()


def _colours(layer: nn.Conv2d) -> nn.Conv2d:
    """The last convolution without the channels that nothing reads: all but the first three."""
    narrow = nn.Conv2d(layer.in_channels, _COLOURS, 3, padding=1)
    narrow.load_state_dict({name: tensor[:_COLOURS] for name, tensor in layer.state_dict().items()})
    return narrow
