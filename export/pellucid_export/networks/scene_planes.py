"""What a generator of photographs sees of a scene: labels and edges as planes, and style features of instances.

Wang et al., "High-resolution image synthesis and semantic manipulation with conditional GANs", 2018, sections 3.3 and
3.4. Instances are rows from 0 on; only their equality matters for edges. Every sample stands by itself.
"""

import torch
from torch.nn import functional

MAX_INSTANCES = 1024
"""Rows of features, of which a scene with fewer instances leaves the last ones unused."""


def one_hot(label_map: torch.Tensor, count: int) -> torch.Tensor:
    """Labels (N, H, W) from 0 to `count` - 1 to planes (N, count, H, W), 1 where a pixel has the label, 0 elsewhere."""
    labels = torch.arange(count, dtype=torch.int32).reshape(1, count, 1, 1)
    return (label_map[:, None].to(torch.int32) == labels).to(torch.float32)


def edges(instance_map: torch.Tensor) -> torch.Tensor:
    """Instances (N, H, W) to a plane (N, 1, H, W): 1 where a pixel's left, right, upper or lower neighbour is another.

    Both pixels of a pair that differs are marked; the border of the image is none.
    """
    across = (instance_map[:, :, 1:] != instance_map[:, :, :-1]).to(torch.float32)  # (N, H, W - 1)
    down = (instance_map[:, 1:] != instance_map[:, :-1]).to(torch.float32)  # (N, H - 1, W)
    marked = functional.pad(across, (0, 1)) + functional.pad(across, (1, 0))
    marked = marked + functional.pad(down, (0, 0, 0, 1)) + functional.pad(down, (0, 0, 1, 0))
    return marked.clamp(max=1)[:, None]


def painted(features: torch.Tensor, instance_map: torch.Tensor) -> torch.Tensor:
    """Features (N, rows, F) over all pixels of their instances: (N, F, H, W)."""
    pixels = torch.gather(features, 1, _indices(instance_map, features.shape[2]))  # (N, H * W, F)
    return pixels.transpose(1, 2).reshape(-1, features.shape[2], instance_map.shape[1], instance_map.shape[2])


def pooled(values: torch.Tensor, instance_map: torch.Tensor) -> torch.Tensor:
    """The mean of values (N, F, H, W) over each instance: (N, MAX_INSTANCES, F), 0 for rows that are not there."""
    count, size = values.shape[:2]
    index = _indices(instance_map, size)
    # A sum of two million numbers in single precision would be off in the third digit.
    pixels = values.flatten(2).transpose(1, 2).to(torch.float64)  # (N, H * W, F)
    sums = torch.zeros(count, MAX_INSTANCES, size, dtype=torch.float64).scatter_add(1, index, pixels)
    areas = torch.zeros(count, MAX_INSTANCES, 1, dtype=torch.float64)
    areas = areas.scatter_add(1, index[:, :, :1], torch.ones_like(pixels[:, :, :1]))
    return (sums / areas.clamp(min=1)).to(torch.float32)


def _indices(instance_map: torch.Tensor, size: int) -> torch.Tensor:
    """Rows (N, H * W, size) of all pixels."""
    return instance_map.flatten(1).to(torch.int64)[:, :, None].expand(-1, -1, size)
