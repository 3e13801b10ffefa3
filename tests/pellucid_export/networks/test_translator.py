import numpy as np
import pytest
import torch
from PIL import Image

from pellucid_export.networks import translator

pytestmark = pytest.mark.torch


def test_grey_is_pillows_to_the_last_level() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    colours[:16] = np.indices((16, 1024)).sum(axis=0)[:, :, None] % 256
    levels = torch.from_numpy(colours).permute(2, 0, 1)[None].float()
    expected = np.asarray(Image.fromarray(colours).convert("L"))
    np.testing.assert_array_equal(translator.grey(levels)[0, 0].numpy(), expected)
