import json
from pathlib import Path

import numpy as np
import pytest

from pellucid.v1.latent_pb2 import SPACE_W, SPACE_Z
from pellucid_export.axes import interfacegan
from pellucid_export.axes.errors import AxesError

from .golden import GOLDEN, INTERFACEGAN

pytestmark = pytest.mark.torch

CASE = np.load(GOLDEN / "interfacegan_case" / "io.npz")
TOLERANCE = json.loads((GOLDEN / "interfacegan_case" / "case.json").read_text())["tolerance"]["atol"]
PUBLISHED = sorted(INTERFACEGAN.glob("*_boundary.npy"))
CONDITIONAL = [path for path in PUBLISHED if "_c_" in path.name]


def normal(name: str) -> interfacegan.Vector:
    return interfacegan.read(INTERFACEGAN / f"{name}_boundary.npy").normal


def test_all_published_boundaries_are_read() -> None:
    boundaries = [interfacegan.read(path) for path in PUBLISHED]
    assert len(boundaries) == 39
    assert {boundary.normal.shape for boundary in boundaries} == {(512,)}
    assert {boundary.generator for boundary in boundaries} == {"pggan_celebahq", "stylegan_celebahq", "stylegan_ffhq"}
    assert all(abs(np.linalg.norm(boundary.normal) - 1) < 1e-6 for boundary in boundaries)


def test_a_files_name_tells_attribute_generator_and_space() -> None:
    in_w = interfacegan.read(INTERFACEGAN / "stylegan_ffhq_eyeglasses_w_boundary.npy")
    assert (in_w.attribute, in_w.generator, in_w.space) == ("eyeglasses", "stylegan_ffhq", SPACE_W)
    in_z = interfacegan.read(INTERFACEGAN / "pggan_celebahq_age_c_gender_eyeglasses_boundary.npy")
    assert (in_z.attribute, in_z.generator, in_z.space) == ("age_c_gender_eyeglasses", "pggan_celebahq", SPACE_Z)


@pytest.mark.parametrize("path", CONDITIONAL, ids=lambda path: path.stem)
def test_published_conditional_boundaries_equal_our_locks(path: Path) -> None:
    boundary = interfacegan.read(path)
    attribute, conditions = boundary.attribute.split("_c_")
    ours = interfacegan.condition(
        normal(f"{boundary.generator}_{attribute}"),
        *(normal(f"{boundary.generator}_{name}") for name in conditions.split("_")),
    )
    np.testing.assert_allclose(ours, boundary.normal, rtol=0, atol=1e-8)


def test_three_conditions_give_the_official_boundary() -> None:
    names = ("age", "gender", "eyeglasses", "smile")
    ours = interfacegan.condition(*(normal(f"pggan_celebahq_{name}") for name in names))
    expected = CASE["project3_pggan_age_c_gender_eyeglasses_smile_64"][0]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-8)


def test_interpolation_counts_distances_from_the_boundary() -> None:
    smile = normal("pggan_celebahq_smile")
    codes = interfacegan.interpolate(CASE["code"], smile)
    np.testing.assert_allclose(codes, CASE["interp_pggan_smile_-3_3_10_64"], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(codes @ smile, np.linspace(-3, 3, 10), rtol=0, atol=1e-5)


def test_interpolation_takes_other_ranges() -> None:
    codes = interfacegan.interpolate(CASE["code"], normal("stylegan_ffhq_age_w"), -1.5, 2, 7)
    np.testing.assert_allclose(codes, CASE["interp_stylegan_w_age_-1.5_2_7_64"], rtol=0, atol=TOLERANCE)


def test_codes_of_every_layer_move_alike_and_from_where_they_are() -> None:
    code = np.random.RandomState(9301).standard_normal((1, 18, 512)).astype(np.float32)
    np.testing.assert_array_equal(code[:, :3], CASE["code_wp_seed9301_rows0_2"])
    codes = interfacegan.interpolate(code, normal("stylegan_ffhq_gender_w"))
    np.testing.assert_allclose(codes[:, :3], CASE["interp_wp_gender_rows0_2_64"], rtol=0, atol=TOLERANCE)


def test_codes_of_other_shapes_are_refused() -> None:
    with pytest.raises(AxesError, match=r"not \(512,\)"):
        interfacegan.interpolate(CASE["code"][0], normal("pggan_celebahq_smile"))


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("smile.npy", np.eye(1, 8), "is called"),
        ("smile_boundary.npy", np.eye(2, 8), r"\(1, D\) is expected"),
        ("smile_boundary.npy", np.full((1, 8), np.nan), "has length 1"),
        ("smile_boundary.npy", np.full((1, 8), 2.0), "this has 5.65685"),
        ("smile_boundary.npy", np.array([[{}]]), "not a plain NumPy array"),
    ],
)
def test_files_that_are_no_boundaries_are_refused(
    tmp_path: Path, name: str, array: interfacegan.Vector, message: str
) -> None:
    np.save(tmp_path / name, array)
    with pytest.raises(AxesError, match=message):
        interfacegan.read(tmp_path / name)
