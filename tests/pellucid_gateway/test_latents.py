import numpy as np
import pytest

from pellucid.v1 import image_pb2, model_pb2
from pellucid_gateway import latents


def prior(kind: "model_pb2.Prior.ValueType", size: int, bound: float = 0.0) -> model_pb2.LatentPrior:
    return model_pb2.LatentPrior(size=size, prior=kind, truncation_bound=bound)


@pytest.mark.parametrize(
    ("seed", "stream", "numbers"),
    [
        (0, 0, [0.059911035001277924, 0.015559634193778038, -1.1644384860992432, -0.13264712691307068]),
        (7, 0, [-0.2933390140533447, 1.703830599784851, 1.5391918420791626, 0.6367538571357727]),
        (7, 1, [-0.5934703350067139, 1.5478249788284302]),
        (2**64 - 1, 0, [-1.744478702545166, -0.48715826869010925, 1.5449836254119873, -0.9327644109725952]),
    ],
)
def test_a_seed_and_a_stream_give_the_frozen_numbers(seed: int, stream: int, numbers: list[float]) -> None:
    drawn = latents.draw(seed, stream, len(numbers))
    assert drawn.dtype == np.float32
    assert drawn.tolist() == numbers


def test_a_normal_prior_is_stream_zero_of_the_seed() -> None:
    np.testing.assert_array_equal(
        latents.sample(prior(model_pb2.PRIOR_NORMAL, 100), 7), latents.draw(7, latents.LATENT_STREAM, 100)
    )


def test_a_truncated_normal_replaces_what_lies_outside_in_order() -> None:
    drawn = latents.sample(prior(model_pb2.PRIOR_TRUNCATED_NORMAL, 6, 0.5), 7)
    numbers = iter(latents.draw(7, 0, 1000).tolist())
    wanted = [next(numbers) for _ in range(6)]
    while outside := [k for k, number in enumerate(wanted) if abs(number) > 0.5]:
        for k in outside:
            wanted[k] = next(numbers)
    assert drawn.tolist() == wanted
    assert wanted[1:3] == [-0.373267263174057, -0.459272563457489]


def test_a_latent_on_the_sphere_has_length_root_of_its_size() -> None:
    drawn = latents.sample(prior(model_pb2.PRIOR_SPHERE, 512), 3)
    assert np.linalg.norm(drawn) == pytest.approx(np.sqrt(512), rel=1e-6)
    cosine = drawn @ latents.draw(3, 0, 512) / np.linalg.norm(drawn) / np.linalg.norm(latents.draw(3, 0, 512))
    assert cosine == pytest.approx(1, abs=1e-6)


def test_a_straight_way_is_the_weighted_mean() -> None:
    start, end = np.float32([0, 4]), np.float32([8, 0])
    assert latents.interpolate(start, end, 0.25, image_pb2.PATH_LINEAR).tolist() == [2, 3]


def test_a_great_circle_turns_evenly_and_changes_length_linearly() -> None:
    start, end = np.float32([1, 0]), np.float32([0, 3])
    third = latents.interpolate(start, end, 1 / 3, image_pb2.PATH_SPHERICAL)
    length = 1 + 2 / 3
    np.testing.assert_allclose(third, [length * np.cos(np.pi / 6), length * np.sin(np.pi / 6)], rtol=1e-6)


@pytest.mark.parametrize("path", [image_pb2.PATH_LINEAR, image_pb2.PATH_SPHERICAL])
def test_both_ways_begin_and_end_at_their_ends(path: "image_pb2.Path.ValueType") -> None:
    start, end = latents.draw(1, 0, 16), latents.draw(2, 0, 16)
    np.testing.assert_allclose(latents.interpolate(start, end, 0, path), start, atol=1e-6)
    np.testing.assert_allclose(latents.interpolate(start, end, 1, path), end, atol=1e-6)


def test_opposite_and_zero_latents_have_no_great_circle_and_go_straight() -> None:
    start = np.float32([2, 0])
    assert latents.interpolate(start, -start, 0.5, image_pb2.PATH_SPHERICAL).tolist() == [0, 0]
    assert latents.interpolate(start, 0 * start, 0.5, image_pb2.PATH_SPHERICAL).tolist() == [1, 0]
