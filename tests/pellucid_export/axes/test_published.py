from pathlib import Path

import numpy as np
import pytest

from pellucid.v1.axis_pb2 import FIT_METRIC_R2
from pellucid_export import zoo
from pellucid_export.axes import axis_set, published
from pellucid_export.containers import checkpoints

pytestmark = pytest.mark.torch

FILE = Path(published.__file__).parent / "digiface" / "faces.safetensors"
SET, DIRECTIONS = axis_set.read(FILE)
AXES = {axis.name: axis for axis in SET.axes}


def test_a_set_is_installed_beside_the_version_of_its_weights_once(tmp_path: Path) -> None:
    installed = published.install(tmp_path / "1", SET.weights_digest)
    assert installed == [tmp_path / "1" / "axes" / "faces.safetensors"]
    assert installed[0].read_bytes() == FILE.read_bytes()
    assert [path.name for path in installed[0].parent.iterdir()] == ["faces.safetensors"]
    assert published.install(tmp_path / "1", SET.weights_digest) == []


def test_other_weights_get_nothing(tmp_path: Path) -> None:
    assert published.install(tmp_path / "1", f"sha256:{'0' * 64}") == []
    assert not (tmp_path / "1").exists()


def test_digifaces_axes_belong_to_the_weights_in_the_zoo() -> None:
    state = checkpoints.load_state(zoo.fetch(zoo.ENTRIES["digiface"]))
    assert checkpoints.digest(state) == SET.weights_digest


def test_digifaces_axes_are_fitted_on_16_000_samples_and_measured_on_500_fresh_ones() -> None:
    assert DIRECTIONS.shape == (len(AXES), 100)
    np.testing.assert_allclose(np.linalg.norm(DIRECTIONS, axis=1), 1, atol=1e-12)
    assert {axis.samples for axis in SET.axes} == {16_000}
    assert {axis.fit.samples for axis in SET.axes} == {4_000}
    assert {axis.fit.metric for axis in SET.axes} == {FIT_METRIC_R2}
    assert {axis.effect.samples for axis in SET.axes} == {500}
    assert {len(axis.entanglement) for axis in SET.axes} == {len(AXES) - 1}


@pytest.mark.parametrize(
    ("name", "least"),
    [("happiness", 0.45), ("masculine", 0.25), ("sadness", 0.30), ("surprise", 0.30), ("brightness", 0.78)],
)
def test_digifaces_axes_predict_their_labels_on_held_out_latents(name: str, least: float) -> None:
    fit = AXES[name].fit
    assert fit.value >= least
    assert fit.low < fit.value < fit.high


@pytest.mark.parametrize("name", ["brightness", "happiness"])
def test_two_steps_raise_the_label_of_nine_fresh_faces_in_ten(name: str) -> None:
    assert AXES[name].effect.raised_share >= 0.9


def test_locking_gender_halves_what_happiness_does_to_it() -> None:
    (on_gender,) = [one for one in AXES["happiness"].entanglement if one.axis == "masculine"]
    assert abs(on_gender.effect_locked) <= abs(on_gender.effect) / 2


def test_the_report_beside_the_documentation_is_of_this_set() -> None:
    page = (Path(__file__).parents[3] / "docs" / "axes" / "digiface.md").read_text()
    assert SET.weights_digest in page
    for axis in SET.axes:
        assert f"| {axis.name} | " in page
        assert f"R² {axis.fit.value:.3f}" in page
