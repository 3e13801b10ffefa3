"""BigGAN and BigGAN-deep as BigGAN-PyTorch trains them; names follow its files."""

from collections.abc import Sequence

import torch
from torch import nn

from pellucid_export.containers import checkpoints
from pellucid_export.containers.biggan_layout import Layout
from pellucid_export.containers.checkpoints import State
from pellucid_export.networks import spectral_norm
from pellucid_export.networks.biggan_blocks import REDUCTION, attended, bottleneck, normed, residual
from pellucid_export.networks.pixels import PixelOutput, Pixels

# The last norm's, whatever that of the others.
_LAST_EPSILON = 1e-5


class ClassTable(nn.Module):
    """Weights of classes (N, classes) to a blend (N, width) of the classes' rows."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(classes, width))

    def forward(self, label: torch.Tensor) -> torch.Tensor:
        """Blend a batch."""
        return label @ self.weight


class ConditionalNorm(nn.Module):
    """Batch norm of which the condition gives gain (less 1) and bias."""

    stored_mean: torch.Tensor
    stored_var: torch.Tensor

    def __init__(self, channels: int, layout: Layout, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.gain, self.bias = _given(layout, channels), _given(layout, channels)
        self.register_buffer("stored_mean", torch.zeros(channels))
        self.register_buffer("stored_var", torch.ones(channels))

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Normalise features (N, C, H, W)."""
        gain, bias = 1 + self.gain(condition), self.bias(condition)
        return normed(x, self.stored_mean, self.stored_var, self.epsilon, gain, bias)


class LastNorm(nn.Module):
    """Batch norm with a gain and bias for all classes."""

    stored_mean: torch.Tensor
    stored_var: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("stored_mean", torch.zeros(channels))
        self.register_buffer("stored_var", torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise features (N, C, H, W)."""
        return normed(x, self.stored_mean, self.stored_var, _LAST_EPSILON, self.gain, self.bias)


class Block(nn.Module):
    """BigGAN's block: features (N, before, H, W) to (N, after, 2H, 2W)."""

    def __init__(self, before: int, after: int, layout: Layout, epsilon: float) -> None:
        super().__init__()
        self.bn1 = ConditionalNorm(before, layout, epsilon)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.bn2 = ConditionalNorm(after, layout, epsilon)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.conv_sc = nn.Conv2d(before, after, 1)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Run a batch."""
        return residual(x, condition, (self.bn1, self.bn2), (self.conv1, self.conv2), self.conv_sc)


class DeepBlock(nn.Module):
    """BigGAN-deep's block: features (N, before, H, W) to (N, after, H or 2H, W or 2W)."""

    def __init__(self, before: int, after: int, doubles: bool, layout: Layout, epsilon: float) -> None:
        super().__init__()
        self.after, self.doubles = after, doubles
        inner = before // REDUCTION
        self.bn1 = ConditionalNorm(before, layout, epsilon)
        self.conv1 = nn.Conv2d(before, inner, 1)
        self.bn2 = ConditionalNorm(inner, layout, epsilon)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1)
        self.bn3 = ConditionalNorm(inner, layout, epsilon)
        self.conv3 = nn.Conv2d(inner, inner, 3, padding=1)
        self.bn4 = ConditionalNorm(inner, layout, epsilon)
        self.conv4 = nn.Conv2d(inner, after, 1)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Run a batch."""
        norms = (self.bn1, self.bn2, self.bn3, self.bn4)
        layers = (self.conv1, self.conv2, self.conv3, self.conv4)
        return bottleneck(x, condition, norms, layers, self.after, self.doubles)


class Attention(nn.Module):
    """Self-attention after a block; the condition has no part in it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.theta = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.phi = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.g = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.o = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor, _condition: torch.Tensor) -> torch.Tensor:
        """Add what each place of (N, C, H, W) sees of the others."""
        return x + self.gamma * attended(x, self.theta, self.phi, self.g, self.o)


class Generator(nn.Module):
    """Latents (N, latent) and labels (N, classes) to images (N, H, W, 3)."""

    def __init__(self, layout: Layout, epsilon: float, pixels: Pixels) -> None:
        super().__init__()
        self.layout = layout
        first = layout.widths[0][0]
        self.shared = ClassTable(layout.classes, layout.embedding) if layout.embedding else nn.Identity()
        given = layout.condition if layout.is_deep and layout.is_hierarchical else layout.part
        self.linear = nn.Linear(given, first * layout.first_size**2)
        self.blocks = nn.ModuleList(_stage(index, layout, epsilon) for index in range(len(layout.widths)))
        last = layout.widths[-1][1]
        self.output_layer = nn.Sequential(LastNorm(last), nn.ReLU(), nn.Conv2d(last, 3, 3, padding=1), nn.Tanh())
        self.output = PixelOutput(pixels)

    def forward(self, latent: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Generate a batch of images."""
        first, conditions = self._conditions(latent, self.shared(label))
        size = self.layout.first_size
        x = torch.unflatten(self.linear(first), 1, (-1, size, size))  # (N, C, 4, 4)
        for stage, condition in zip(self.blocks, conditions, strict=True):
            for part in stage.children():
                x = part(x, condition)
        image: torch.Tensor = self.output(self.output_layer(x))
        return image

    def _conditions(self, latent: torch.Tensor, embedded: torch.Tensor) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        """What the first layer gets, and what every block's norms get."""
        if not self.layout.is_hierarchical:
            return latent, [embedded] * len(self.blocks)
        if self.layout.is_deep:
            condition = torch.cat([embedded, latent], dim=1)
            return condition, [condition] * len(self.blocks)
        first, *parts = torch.split(latent, self.layout.part, dim=1)
        return first, [torch.cat([embedded, part], dim=1) for part in parts]


def load(state: State, epsilon: float, pixels: Pixels) -> Generator:
    """The network with the weights of a file, ready to run. Raises CheckpointError where they do not fit."""
    folded = _averaged(spectral_norm.fold(state))
    layout = Layout.of(folded)
    generator = Generator(layout, epsilon, pixels)
    name = "BigGAN-deep" if layout.is_deep else "BigGAN"
    what = f"a {name} of {layout.size} x {layout.size} pixels, {layout.classes} classes and {layout.latent} latents"
    checkpoints.load_strictly(generator, folded, what)
    return generator.eval()


def _averaged(state: State) -> State:
    """The state with plain statistics where the norms counted their own.

    Where the counter is not zero, the statistics are sums over as many batches ("standing statistics").
    """
    plain = {}
    for name, tensor in state.items():
        norm, _, statistic = name.rpartition(".bn.")
        if norm and statistic in ("stored_mean", "stored_var"):
            count = float(state.get(f"{norm}.bn.accumulation_counter", torch.zeros(1)).sum())
            plain[f"{norm}.{statistic}"] = tensor / count if count > 0 else tensor
        elif not (norm and statistic == "accumulation_counter"):
            plain[name] = tensor
    return plain


def _stage(index: int, layout: Layout, epsilon: float) -> nn.ModuleList:
    before, after = layout.widths[index]
    block: nn.Module = (
        DeepBlock(before, after, layout.doubles(index), layout, epsilon)
        if layout.is_deep
        else Block(before, after, layout, epsilon)
    )
    return nn.ModuleList([block, Attention(after)] if index in layout.attention else [block])


def _given(layout: Layout, channels: int) -> nn.Module:
    if layout.embedding:
        return nn.Linear(layout.condition, channels, bias=False)
    return ClassTable(layout.classes, channels)
