"""Images between sRGB and CIE Lab (D65, 2 degrees), with the constants that scikit-image uses.

Values are float32: sRGB in [0, 1], L in [0, 100], a and b around [-110, 110].
"""

import torch
from torch.nn import functional

# IEC 61966-2-1.
_XYZ_FROM_RGB = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_GAMMA = 2.4
_LUMINANCE = torch.tensor(_XYZ_FROM_RGB[1]).reshape(1, 3, 1, 1)
_RGB_FROM_XYZ = torch.linalg.inv(torch.tensor(_XYZ_FROM_RGB, dtype=torch.float64)).float()[:, :, None, None]
_WHITE = torch.tensor((0.95047, 1.0, 1.08883)).reshape(1, 3, 1, 1)
# Below these, straight lines take the place of powers.
_DARK_SRGB, _DARK_LINEAR, _DARK, _DARK_ROOT = 0.04045, 0.0031308, 0.008856, 0.2068966
_SLOPE, _OFFSET = 7.787, 16 / 116


def lightness(rgb: torch.Tensor) -> torch.Tensor:
    """L (N, 1, H, W) of sRGB images (N, 3, H, W)."""
    linear = torch.where(rgb > _DARK_SRGB, ((rgb + 0.055) / 1.055) ** _GAMMA, rgb / 12.92)
    y = (linear * _LUMINANCE).sum(dim=1, keepdim=True)
    return 116 * torch.where(y > _DARK, y ** (1 / 3), _SLOPE * y + _OFFSET) - 16


def to_rgb(lightness: torch.Tensor, colour: torch.Tensor) -> torch.Tensor:
    """The sRGB image (N, 3, H, W) of L (N, 1, H, W) and ab (N, 2, H, W); colours that sRGB has not are clipped."""
    y = (lightness + 16) / 116
    x, z = y + colour[:, :1] / 500, (y - colour[:, 1:] / 200).clamp(min=0)
    roots = torch.cat([x, y, z], dim=1)
    xyz = torch.where(roots > _DARK_ROOT, roots * roots * roots, (roots - _OFFSET) / _SLOPE)
    linear = functional.conv2d(xyz * _WHITE, _RGB_FROM_XYZ)
    bright = 1.055 * linear.clamp(min=_DARK_LINEAR) ** (1 / _GAMMA) - 0.055
    return torch.where(linear > _DARK_LINEAR, bright, 12.92 * linear).clamp(0, 1)
