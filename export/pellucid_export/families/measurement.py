"""Plain measurements of an image: no network, no weights, and so exactly known quantities for axes."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from pellucid.v1.model_pb2 import LABEL_KIND_QUANTITY, TASK_CLASSIFY, Label, Model
from pellucid_export.containers import checkpoints
from pellucid_export.family import Family, Network, Signature, Stage, Tensor

_TOLERANCE = 1e-5

_LABELS = (
    Label(name="brightness", kind=LABEL_KIND_QUANTITY, description="Mean luma (ITU-R BT.601), 0 black to 1 white."),
    Label(name="contrast", kind=LABEL_KIND_QUANTITY, description="Standard deviation of luma, 0 to 0.5."),
    Label(
        name="saturation",
        kind=LABEL_KIND_QUANTITY,
        description="Sum of max(R, G, B) - min(R, G, B) over sum of max(R, G, B), 0 grey to 1.",
    ),
    Label(name="warmth", kind=LABEL_KIND_QUANTITY, description="Mean red minus mean blue, -1 to 1."),
)


@dataclass(frozen=True)
class Options:
    """Size in pixels of the images that are measured."""

    height: int = 64
    width: int = 64


class Measurement(nn.Module):
    """Images (N, H, W, 3) of 8-bit RGB to labels (N, 4), in the order of the card."""

    luma: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("luma", torch.tensor([0.299, 0.587, 0.114]))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Measure a batch of images."""
        pixels = image.float().flatten(1, 2) / 255  # (N, H * W, 3), [0, 1]
        luma = pixels @ self.luma  # (N, H * W)
        brightness = luma.mean(1)
        contrast = (luma - brightness[:, None]).square().mean(1).sqrt()
        largest, smallest = pixels.amax(2), pixels.amin(2)
        # A black image has no saturation; the bound is below one level of one pixel.
        saturation = (largest - smallest).sum(1) / largest.sum(1).clamp(min=1e-3)
        means = pixels.mean(1)
        return torch.stack([brightness, contrast, saturation, means[:, 0] - means[:, 2]], dim=1)


def load(_path: Path, options: Options) -> Network:
    """The measurements; there is nothing to read."""
    module = Measurement().eval()
    signature = Signature(
        inputs=(Tensor("image", "uint8", (options.height, options.width, 3), low=0, high=255),),
        outputs=(Tensor("labels", "float32", (len(_LABELS),), tolerance=_TOLERANCE),),
    )
    card = Model(task=TASK_CLASSIFY, height=options.height, width=options.width, labels=_LABELS)
    return Network((Stage("classifier", module, signature),), card, checkpoints.digest(module.state_dict()))


FAMILY = Family(
    name="measurement",
    description="Brightness, contrast, saturation and warmth of images",
    containers=(),
    options=Options,
    load=load,
)
