"""Colours as translators of images take them."""

import torch


def signed(source: torch.Tensor) -> torch.Tensor:
    """Levels (N, H, W, 3) from 0 to 255 as colours (N, 3, H, W) in [-1, 1]."""
    return source.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1
