from pathlib import Path

import numpy as np
import pytest

from pellucid.v1.latent_pb2 import SPACE_W, SPACE_W_PLUS, SPACE_Z
from pellucid.v1.model_pb2 import PRIOR_NORMAL, PRIOR_TRUNCATED_NORMAL, LatentPrior, LatentSpace, Model
from pellucid_export.axes import importing
from pellucid_export.axes.errors import AxesError

from .golden import INTERFACEGAN, TLGAN

pytestmark = pytest.mark.torch

PICKLE = TLGAN / "feature_direction_20181002_044444.SYNTHETIC.pkl"
CARD = Model(
    name="models/faces",
    latent=LatentPrior(size=512, prior=PRIOR_NORMAL),
    spaces=[
        LatentSpace(space=SPACE_Z, size=512, layers=1),
        LatentSpace(space=SPACE_W, size=512, layers=1),
        LatentSpace(space=SPACE_W_PLUS, size=512, layers=18),
    ],
)


def test_all_40_axes_of_a_tl_gan_pickle_come_at_once() -> None:
    imported = importing.read(PICKLE)
    described = importing.axis_set("celeba", imported, CARD, "", "MIT")
    assert [axis.name for axis in described.axes[:3]] == ["5_o_clock_shadow", "arched_eyebrows", "attractive"]
    assert (len(described.axes), described.license, described.axes[20].display_name) == (40, "MIT", "Male")
    np.testing.assert_allclose(np.linalg.norm(importing.directions(imported), axis=1), 1, atol=1e-12)


def test_what_is_not_known_of_an_imported_axis_is_absent() -> None:
    (axis,) = importing.axis_set("s", importing.read(PICKLE)[:1], CARD, "", "").axes
    assert not any(axis.HasField(name) for name in ("intercept", "slope", "fit", "effect", "weights_digest"))
    assert (axis.samples, axis.step_length, axis.origin) == (0, 1, PICKLE.name)


def test_whoever_imports_may_assert_the_weights() -> None:
    described = importing.axis_set("s", importing.read(PICKLE)[:2], CARD, "sha256:x", "")
    assert {described.weights_digest, *(axis.weights_digest for axis in described.axes)} == {"sha256:x"}


def test_the_interfaces_signs_reverse_three_axes_and_rename_them() -> None:
    plain, shown = importing.read(PICKLE), importing.read(PICKLE, interface_signs=True)
    changed = [(a.name, b.name) for a, b in zip(plain, shown, strict=True) if a.name != b.name]
    assert changed == [("No_Beard", "Beard"), ("Pale_Skin", "Skin_Tone"), ("Young", "Age")]
    signs = np.load(TLGAN / "feature_direction_synthetic_io.npz")["feature_reverse"]
    for before, after, sign in zip(plain, shown, signs, strict=True):
        np.testing.assert_array_equal(after.direction, sign * before.direction)


def test_boundaries_are_named_by_their_files_and_know_their_space() -> None:
    files = ("stylegan_ffhq_smile_w_boundary.npy", "stylegan_ffhq_age_c_gender_boundary.npy")
    imported = [one for file in files for one in importing.read(INTERFACEGAN / file)]
    described = importing.axis_set("s", imported, CARD, "", "")
    assert [(axis.name, axis.space) for axis in described.axes] == [("smile", SPACE_W), ("age_c_gender", SPACE_Z)]
    assert [axis.hard_limit_steps for axis in described.axes] == [0, 8]
    assert [axis.step_length for axis in described.axes] == [1, 1]


def test_axes_of_a_prior_whose_deviation_is_not_one_have_no_limit() -> None:
    card = Model(latent=LatentPrior(size=512, prior=PRIOR_TRUNCATED_NORMAL, truncation_bound=1), spaces=CARD.spaces)
    (axis,) = importing.axis_set("s", importing.read(PICKLE)[:1], card, "", "").axes
    assert axis.hard_limit_steps == 0


def test_a_space_may_be_chosen_where_the_files_name_does_not_tell_it() -> None:
    smile = INTERFACEGAN / "pggan_celebahq_smile_boundary.npy"
    assert [importing.read(smile)[0].space, importing.read(smile, SPACE_W)[0].space] == [SPACE_Z, SPACE_W]
    assert {one.space for one in importing.read(PICKLE, SPACE_W)} == {SPACE_W}
    in_w = INTERFACEGAN / "stylegan_ffhq_smile_w_boundary.npy"
    assert importing.read(in_w, SPACE_W)[0].space == SPACE_W
    with pytest.raises(AxesError, match=r"stylegan_ffhq_smile_w_boundary.npy: its name says SPACE_W"):
        importing.read(in_w, SPACE_Z)


def test_an_axis_of_another_size_or_space_is_refused() -> None:
    small = Model(name="models/small", spaces=[LatentSpace(space=SPACE_Z, size=100, layers=1)])
    with pytest.raises(AxesError, match="has 512 numbers in SPACE_Z; 'models/small' has SPACE_Z of 100"):
        importing.axis_set("s", importing.read(PICKLE), small, "", "")
    in_w = importing.read(INTERFACEGAN / "stylegan_ffhq_smile_w_boundary.npy")
    with pytest.raises(AxesError, match="512 numbers in SPACE_W"):
        importing.axis_set("s", in_w, small, "", "")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AxesError, match=r"axis.pt: .pkl or .npy is expected"):
        importing.read(tmp_path / "axis.pt")
