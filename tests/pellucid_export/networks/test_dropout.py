import pytest
import torch

from pellucid_export.networks import dropout

pytestmark = pytest.mark.torch

SHAPES = [(2, 1, 2), (1, 2, 2)]


def factors(*rows: list[int]) -> list[list[object]]:
    return [part.tolist() for part in dropout.factors(torch.tensor(rows, dtype=torch.uint8), SHAPES)]


def test_flags_are_laid_out_layer_by_layer_channel_by_channel_and_row_by_row() -> None:
    assert factors([1, 0, 0, 1, 0, 0, 1, 0]) == [[[[[2, 0]], [[0, 2]]]], [[[[0, 0], [2, 0]]]]]


def test_a_row_without_a_zero_drops_and_scales_nothing_whatever_its_neighbours_do() -> None:
    assert factors([1] * 8, [1] * 7 + [0]) == [
        [[[[1, 1]], [[1, 1]]], [[[2, 2]], [[2, 2]]]],
        [[[[1, 1], [1, 1]]], [[[2, 2], [2, 0]]]],
    ]


def test_the_mean_of_many_draws_is_what_was_there() -> None:
    flags = torch.rand(20_000, 8, generator=torch.Generator().manual_seed(0)) < dropout.KEEP
    for part in dropout.factors(flags.to(torch.uint8), SHAPES):
        assert (part.mean(dim=0) - 1).abs().max() < 0.03
