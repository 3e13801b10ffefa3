from math import nan

import pytest
import torch
from torch import nn

from pellucid_export.errors import FamilyError
from pellucid_export.networks.growing import AS_STORED, Growth, growth

pytestmark = pytest.mark.torch

# Blocks of 1, 2 and 4 pixels whose images are 1, 2 and 3.
FEATURES = [torch.full((1, 1, size, size), value) for size, value in ((1, 1.0), (2, 2.0), (4, 3.0))]


@pytest.mark.parametrize(
    ("level", "in_use", "value"), [(0.0, 3, 3.0), (0.25, 3, 2.75), (1.0, 2, 2.0), (1.5, 2, 1.5), (2.0, 1, 1.0)]
)
def test_the_last_block_in_use_fades_into_the_one_before_at_full_size(level: float, in_use: int, value: float) -> None:
    grown = Growth(3, level)
    assert grown.in_use == in_use
    image = grown.image(FEATURES[:in_use], [nn.Identity()] * 3)
    assert image.tolist() == torch.full((1, 1, 4, 4), value).tolist()


def test_the_checkpoints_level_counts_unless_an_option_says_otherwise() -> None:
    assert growth(3, AS_STORED, torch.tensor(1.5)) == Growth(3, 1.5)
    assert growth(3, 0.0, torch.tensor(1.5)) == Growth(3, 0.0)


@pytest.mark.parametrize(
    ("option", "stored"), [(2.5, 0.0), (-0.5, 0.0), (nan, 0.0), (AS_STORED, 3.0), (AS_STORED, nan)]
)
def test_a_level_that_the_generator_does_not_have_is_refused(option: float, stored: float) -> None:
    with pytest.raises(FamilyError, match=r"lod is .*; 0 \(finished\) to 2 \(4 x 4 pixels\) is possible here"):
        growth(3, option, torch.tensor(stored))
