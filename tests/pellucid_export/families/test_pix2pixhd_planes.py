"""Labels, edges and features of scenes that can be checked by eye."""

import pytest
import torch

from pellucid_export.networks.scene_planes import MAX_INSTANCES, edges, one_hot, painted, pooled

pytestmark = pytest.mark.torch

INSTANCES = torch.tensor([[[0, 0, 1], [0, 0, 1], [2, 2, 2]], [[7, 7, 7], [7, 1, 7], [7, 7, 7]]], dtype=torch.int32)


def test_a_label_is_1_in_its_plane_and_0_in_the_others() -> None:
    found = one_hot(torch.tensor([[[0, 2], [1, 2]]], dtype=torch.uint8), 3)
    assert found.tolist() == [[[[1, 0], [0, 0]], [[0, 0], [1, 0]], [[0, 1], [0, 1]]]]
    assert one_hot(torch.tensor([[[255]]], dtype=torch.uint8), 256)[0, :, 0, 0].nonzero().tolist() == [[255]]


def test_edges_are_both_pixels_of_pairs_that_differ_and_not_the_border() -> None:
    assert edges(INSTANCES).tolist() == [
        [[[0, 1, 1], [1, 1, 1], [1, 1, 1]]],
        [[[0, 1, 0], [1, 1, 1], [0, 1, 0]]],
    ]


def test_features_are_painted_over_their_instances_for_each_scene() -> None:
    features = torch.zeros(2, MAX_INSTANCES, 2)
    features[0, :3] = torch.tensor([[1.0, -1.0], [2.0, -2.0], [3.0, -3.0]])
    features[1, [1, 7]] = torch.tensor([[10.0, 0.0], [70.0, 0.5]])
    found = painted(features, INSTANCES)
    assert found[0].tolist() == [[[1, 1, 2], [1, 1, 2], [3, 3, 3]], [[-1, -1, -2], [-1, -1, -2], [-3, -3, -3]]]
    assert found[1, 0].tolist() == [[70, 70, 70], [70, 10, 70], [70, 70, 70]]


def test_pooling_gives_the_mean_of_each_instance_and_0_for_those_that_are_not_there() -> None:
    values = torch.arange(18, dtype=torch.float32).reshape(1, 2, 3, 3).expand(2, -1, -1, -1)
    found = pooled(values, INSTANCES)
    assert found.shape == (2, MAX_INSTANCES, 2)
    assert found[0, :4].tolist() == [[2, 11], [3.5, 12.5], [7, 16], [0, 0]]
    assert found[1, [1, 7]].tolist() == [[4, 13], [4, 13]]
    assert found[1].abs().sum(dim=1).nonzero().flatten().tolist() == [1, 7]


def test_the_mean_of_an_instance_of_two_million_pixels_is_exact() -> None:
    values = torch.full((1, 1, 1024, 2048), 0.1)
    assert pooled(values, torch.zeros(1, 1024, 2048, dtype=torch.int32))[0, 0, 0] == torch.tensor(0.1)
