"""Batch norms folded into the convolutions before them."""

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def fold_batch_norms(module: nn.Module) -> nn.Module:
    """A copy of an eval-mode module in which every convolution followed by a batch norm in a Sequential is one layer.

    Neither ONNX Runtime nor TorchScript's freezing does this for transposed convolutions.
    """
    folded = copy.deepcopy(module)
    for sequence in [part for part in folded.modules() if isinstance(part, nn.Sequential)]:
        _fold(sequence)
    return folded


def _fold(sequence: nn.Sequential) -> None:
    for index in range(len(sequence) - 1):
        layer, norm = sequence[index], sequence[index + 1]
        if isinstance(layer, _CONVOLUTIONS) and isinstance(norm, _NORMS) and not norm.training:
            transposed = isinstance(layer, nn.modules.conv._ConvTransposeNd)
            sequence[index] = fuse_conv_bn_eval(layer, norm, transpose=transposed)
            sequence[index + 1] = nn.Identity()
