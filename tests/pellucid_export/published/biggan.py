"""BigGAN's files as they were published, with random weights of the published shapes."""

import json
from pathlib import Path

import torch
from torch import nn

from pellucid_export.containers.biggan_layout import Layout
from pellucid_export.networks import biggan_deep, biggan_pytorch
from pellucid_export.networks.biggan_deep import LayerLayout

Norm = biggan_deep.ConditionalNorm | biggan_deep.LastNorm | biggan_pytorch.ConditionalNorm | biggan_pytorch.LastNorm

SAME_16, SAME_8, SAME_4, SAME_2 = ((False, width, width) for width in (16, 8, 4, 2))
FIRST = (SAME_16, (True, 16, 16), SAME_16, (True, 16, 8), SAME_8)
LAST = ((True, 8, 4), SAME_4, (True, 4, 2), SAME_2, (True, 2, 1))
LAYERS = {
    128: (*FIRST, *LAST),
    256: (*FIRST, (True, 8, 8), SAME_8, *LAST),
    512: (*FIRST, (True, 8, 8), SAME_8, *LAST, (False, 1, 1), (True, 1, 1)),
}
IMAGENET_128 = Layout(
    classes=1000,
    embedding=128,
    latent=120,
    first_size=4,
    widths=((1536, 1536), (1536, 768), (768, 384), (384, 192), (192, 96)),
    attention=frozenset({3}),
    is_deep=False,
    is_hierarchical=True,
)


def deep(size: int = 256, width: int = 128, classes: int = 1000) -> biggan_deep.Layout:
    """The layout of a published BigGAN-deep, or a narrower one."""
    layers = tuple(LayerLayout(*layer) for layer in LAYERS[size])
    return biggan_deep.Layout(width, width, classes, width, layers, attention=8, epsilon=1e-4, statistics=51)


def write(folder: Path, seed: int = 0, size: int = 256) -> Path:
    """Write pytorch_model.bin and config.json of pytorch-pretrained-BigGAN's `biggan-deep-<size>` to `folder`."""
    return write_deep(folder, deep(size), seed)


def write_deep(folder: Path, layout: biggan_deep.Layout, seed: int = 0) -> Path:
    """Write a BigGAN-deep of any layout."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = biggan_deep.Generator(layout, "float32")
        vectors = _normalised(generator, but="embeddings")
        _settle(
            generator, torch.randn(4, layout.latent), _labels(layout.classes), torch.ones(4, 1, dtype=torch.float64)
        )
    state = generator.state_dict()
    for layer, (left, right) in vectors.items():
        state[f"{layer}.weight_orig"] = 3 * state.pop(f"{layer}.weight")
        state[f"{layer}.weight_u"], state[f"{layer}.weight_v"] = left, right
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(config(layout)))
    return folder


def config(layout: biggan_deep.Layout) -> dict[str, object]:
    """The content of config.json."""
    return {
        "output_dim": layout.size,
        "z_dim": layout.latent,
        "class_embed_dim": layout.embedding,
        "channel_width": layout.width,
        "num_classes": layout.classes,
        "layers": [list(layer) for layer in layout.layers],
        "attention_layer_position": layout.attention,
        "eps": layout.epsilon,
        "n_stats": layout.statistics,
    }


def write_ema(folder: Path, layout: Layout = IMAGENET_128, seed: int = 0) -> Path:
    """Write BigGAN-PyTorch's G_ema.pth, of the published ImageNet model or another layout."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = biggan_pytorch.Generator(layout, 1e-5, "float32")
        vectors = _normalised(generator)
        for table in generator.modules():
            if isinstance(table, biggan_pytorch.ClassTable):
                nn.init.normal_(table.weight, std=0.3)
        _settle(generator, torch.randn(4, layout.latent), _labels(layout.classes))
    state = generator.state_dict()
    for layer, (left, _) in vectors.items():
        state[f"{layer}.weight"] = 3 * state[f"{layer}.weight"]
        state[f"{layer}.u0"], state[f"{layer}.sv0"] = left[None], torch.ones(1)
    torch.save(state, folder / "G_ema.pth")
    return folder / "G_ema.pth"


def _normalised(generator: nn.Module, but: str = "") -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Divide the weights of all layers by their spectral norm; the result is its vectors, by the layer's name."""
    vectors = {}
    for name, layer in generator.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d) and name != but:
            matrix = layer.weight.data.flatten(1)
            left = torch.randn(len(matrix))
            for _ in range(5):
                right = nn.functional.normalize(left @ matrix, dim=0)
                left = nn.functional.normalize(matrix @ right, dim=0)
            layer.weight.data /= left @ matrix @ right
            vectors[name] = left, right
        elif isinstance(layer, biggan_deep.Attention | biggan_pytorch.Attention):
            nn.init.constant_(layer.gamma, 0.5)
        elif isinstance(layer, biggan_deep.LastNorm | biggan_pytorch.LastNorm):
            nn.init.constant_(layer.weight if isinstance(layer, biggan_deep.LastNorm) else layer.gain, 0.3)
    return vectors


def _labels(classes: int) -> torch.Tensor:
    return torch.eye(classes)[torch.randint(classes, (4,))]


def _settle(generator: nn.Module, *inputs: torch.Tensor) -> None:
    """Give the norms the statistics of one batch, which keep features at a unit scale."""
    norms = [module for module in generator.modules() if isinstance(module, Norm)]
    hooks = [norm.register_forward_pre_hook(_measure) for norm in norms]
    with torch.no_grad():
        generator(*inputs)
    for hook in hooks:
        hook.remove()


def _measure(norm: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
    variance, mean = torch.var_mean(arguments[0], (0, 2, 3))
    if isinstance(norm, biggan_pytorch.ConditionalNorm | biggan_pytorch.LastNorm):
        norm.stored_mean.copy_(mean)
        norm.stored_var.copy_(variance)
    elif isinstance(norm, biggan_deep.ConditionalNorm | biggan_deep.LastNorm):
        # Features spread less where latents do; much less would multiply from norm to norm.
        norm.running_means.copy_(mean.expand_as(norm.running_means))
        norm.running_vars.copy_(torch.linspace(0.98, 1, len(norm.running_vars))[:, None] * variance)
