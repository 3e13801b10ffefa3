"""A DCGAN small enough to export in a moment, built as PyTorch's tutorial builds it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from pellucid_export import exporter, source
from pellucid_export.exporter import Exported
from pellucid_export.form import Form
from pellucid_export.repository import Repository

LATENT, SIZE = 6, 16

Exporting = Callable[..., Exported]


def tutorial_dcgan(seed: int, channels: int = 3) -> nn.Sequential:
    """The tutorial's generator with three layers, as if trained: batch norms with statistics of their own."""
    torch.manual_seed(seed)
    main = nn.Sequential(
        nn.ConvTranspose2d(LATENT, 8, 4, 1, 0, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(True),
        nn.ConvTranspose2d(8, 4, 4, 2, 1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(True),
        nn.ConvTranspose2d(4, channels, 4, 2, 1, bias=False),
        nn.Tanh(),
    )
    nn.init.normal_(main[6].weight, 0.0, 0.5)
    for layer in main:
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.2)
            nn.init.normal_(layer.bias, 0.0, 0.2)
            nn.init.normal_(layer.running_mean, 0.0, 0.2)
            nn.init.uniform_(layer.running_var, 0.2, 0.5)
    return main.eval()


def state_of(main: nn.Sequential, prefix: str = "main.") -> dict[str, torch.Tensor]:
    return {f"{prefix}{key}": value for key, value in main.state_dict().items()}


def official_images(main: nn.Sequential, latent: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The tutorial's output (N, H, W, 3) in [-1, 1]."""
    with torch.inference_mode():
        images: npt.NDArray[np.float32] = main(torch.from_numpy(latent)[:, :, None, None]).numpy()
    return images.transpose(0, 2, 3, 1)


@pytest.fixture
def dcgan_file(tmp_path: Path) -> Path:
    path = tmp_path / "generator.pth"
    torch.save(state_of(tutorial_dcgan(0)), path)
    return path


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "models")


@pytest.fixture
def export_dcgan(repository: Repository) -> Exporting:
    """Exports a DCGAN file as `tiny` in the given form, ONNX and batches of up to 4 by default."""

    def export(path: Path, name: str = "tiny", **form: object) -> Exported:
        values = {"family": "dcgan", "checkpoint": source.digest(path), "max_batch_size": 4, **form}
        return exporter.export(repository, name, Form(**values), path)

    return export
