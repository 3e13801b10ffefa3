"""The commands as a user gives them, on the world of `arithmetic`."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from pellucid.v1.latent_pb2 import SPACE_W
from pellucid_export.axes import axis_set, commands
from pellucid_export.repository import Repository

from . import arithmetic
from .golden import INTERFACEGAN

pytestmark = pytest.mark.torch

Pellucid = Callable[..., Result]


@pytest.fixture
def pellucid(models: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pellucid:
    """Runs `pellucid axes ...` on the repository."""
    return _runner(models, tmp_path, monkeypatch)


@pytest.fixture
def pellucid_styled(styled: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pellucid:
    """Runs `pellucid axes ...` on the repository of generators with several stages."""
    return _runner(styled, tmp_path, monkeypatch)


def _runner(models: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pellucid:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    app = typer.Typer()
    app.command("fit")(commands.fit)
    app.command("import")(commands.import_)

    def run(*words: object) -> Result:
        result = CliRunner().invoke(app, [*map(str, words), "--repository", str(models.root)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


FIT = ("fit", "dots", "--extractor", "reader", "--samples", 600, "--fresh", 20)


def test_fit_writes_a_set_a_report_and_a_picture(pellucid: Pellucid, models: Repository) -> None:
    result = pellucid(*FIT, "--set", "mine")
    assert result.exit_code == 0, result.output
    folder = models.directory("dots") / "axes"
    described, directions = axis_set.read(folder / "mine.safetensors")
    assert [axis.name for axis in described.axes] == ["tilt", "open", "bent"]
    assert directions[0] @ [1, 0, 0, 0] > 0.999
    with Image.open(folder / "mine-sweep.png") as picture:
        assert picture.size[0] > 9 * arithmetic.SIZE
    page = (folder / "mine.md").read_text()
    assert (
        "`pellucid axes fit dots --extractor reader --samples 600 --fresh 20 --seed 0 --method auto --set mine`" in page
    )
    assert "(mine-sweep.png)" in page


def test_the_report_shows_what_the_set_says(pellucid: Pellucid, models: Repository, tmp_path: Path) -> None:
    assert pellucid(*FIT, "--set", "mine", "--report", tmp_path / "docs" / "dots.md").exit_code == 0
    page = (tmp_path / "docs" / "dots.md").read_text()
    described, _ = axis_set.read(models.directory("dots") / "axes" / "mine.safetensors")
    for axis in described.axes:
        assert re.search(rf"\| {axis.name} \|.*\| R² {axis.fit.value:.3f} \|.*{axis.effect.raised_share:.1%}", page)
    locked = described.axes[0].entanglement[0].effect_locked
    assert f"| tilt |  | {locked:+.2f} |" in page
    assert (tmp_path / "docs" / "dots-sweep.png").exists()


def test_a_second_fit_needs_another_name_and_labels_nothing_again(
    pellucid: Pellucid, models: Repository, tmp_path: Path
) -> None:
    assert pellucid(*FIT, "--set", "mine").exit_code == 0
    refused = pellucid(*FIT, "--set", "mine")
    assert refused.exit_code == 1
    assert "choose another name" in refused.output
    (chunk,) = (tmp_path / "cache").rglob("labels-000000000-*.npy")
    written = chunk.stat().st_mtime_ns
    assert pellucid(*FIT, "--set", "again").exit_code == 0
    assert chunk.stat().st_mtime_ns == written
    folder = models.directory("dots") / "axes"
    first, again = (axis_set.read(folder / f"{name}.safetensors")[1] for name in ("mine", "again"))
    np.testing.assert_array_equal(first, again)


def test_fit_in_w_tells_space_layers_and_classes(pellucid_styled: Pellucid, styled: Repository) -> None:
    where = ("--space", "w", "--layers", "1-1", "--classes", "dog")
    result = pellucid_styled("fit", "classes", *FIT[2:], "--set", "dogs", *where)
    assert result.exit_code == 0, result.output
    folder = styled.directory("classes") / "axes"
    axis = axis_set.read(folder / "dogs.safetensors")[0].axes[0]
    assert (axis.space, axis.layers.first, axis.layers.last, axis.HasField("slope")) == (SPACE_W, 1, 1, False)
    page = (folder / "dogs.md").read_text()
    assert "--set dogs --space w --layers 1-1 --classes dog`" in page
    assert "All have truncation 0.5 below layer 1, a class drawn from 1 (Dog)." in page
    assert "The axes lie in W, and the layers 1 to 1 move." in page
    assert re.search(r"\| tilt \| degrees \| R² [^|]+ \| [^|]+ \| 0\.7\d* \|  \| 0 ± 0 \| 0\.0% \|", page)
    with Image.open(folder / "dogs-sweep.png") as picture:
        assert picture.size[0] > 9 * arithmetic.SIZE


def test_fit_for_captions_needs_one(pellucid_styled: Pellucid, styled: Repository) -> None:
    refused = pellucid_styled("fit", "captioned", *FIT[2:])
    assert (refused.exit_code, "give --caption" in refused.output) == (1, True)
    assert pellucid_styled("fit", "captioned", *FIT[2:], "--caption", "A red bird").exit_code == 0
    page = (styled.directory("captioned") / "axes" / "fitted.md").read_text()
    assert "--set fitted --caption 'A red bird'`" in page
    assert "All have the caption 'red bird' without a, which the model does not know." in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fit", "reader", "--extractor", "reader"), "'reader' is no generator"),
        (("fit", "dots", "--extractor", "dots"), "'dots' is no classifier"),
        (("fit", "dots", "--extractor", "nobody"), "no model 'nobody'"),
        (("fit", "dots", "--extractor", "reader", "--extractor", "reader"), "several extractors give bent, open, tilt"),
        (("fit", "dots", "--extractor", "reader", "--method", "cubic"), "not 'cubic'"),
        (("fit", "dots", "--extractor", "absent.onnx"), "absent.onnx"),
        (("fit", "dots", "--extractor", "reader", "--space", "w"), "there are no axes in SPACE_W"),
        (("fit", "dots", "--extractor", "reader", "--space", "x"), "space must be z or w, not 'x'"),
        (("fit", "dots", "--extractor", "reader", "--layers", "0-1"), "of space w"),
        (("fit", "dots", "--extractor", "reader", "--classes", "dog"), "takes no classes"),
    ],
)
def test_mistakes_are_answered_with_a_line(pellucid: Pellucid, words: tuple[str, ...], message: str) -> None:
    result = pellucid(*words)
    assert result.exit_code == 1
    assert message in result.output


def boundary(folder: Path, name: str) -> Path:
    np.save(folder / f"{name}_boundary.npy", np.eye(1, arithmetic.SIZE))
    return folder / f"{name}_boundary.npy"


def test_import_puts_all_files_into_one_set_that_asserts_nothing(
    pellucid: Pellucid, models: Repository, tmp_path: Path
) -> None:
    files = [boundary(tmp_path, name) for name in ("smile", "age")]
    assert pellucid("import", *files, "--model", "dots", "--set", "theirs", "--license", "MIT").exit_code == 0
    described, directions = axis_set.read(models.directory("dots") / "axes" / "theirs.safetensors")
    assert [axis.name for axis in described.axes] == ["smile", "age"]
    assert (described.license, described.HasField("weights_digest"), directions.shape) == ("MIT", False, (2, 4))


@pytest.mark.parametrize("assertion", [("--for-model",), ("--weights-digest", arithmetic.WEIGHTS)])
def test_import_asserts_the_weights_where_it_is_told_to(
    pellucid: Pellucid, models: Repository, tmp_path: Path, assertion: tuple[str, ...]
) -> None:
    assert pellucid("import", boundary(tmp_path, "age"), "--model", "dots", *assertion).exit_code == 0
    described, _ = axis_set.read(models.directory("dots") / "axes" / "imported.safetensors")
    assert described.weights_digest == arithmetic.WEIGHTS


def test_import_refuses_axes_of_other_weights_and_other_sizes(
    pellucid: Pellucid, models: Repository, tmp_path: Path
) -> None:
    other = pellucid("import", boundary(tmp_path, "age"), "--model", "dots", "--weights-digest", "sha256:other")
    assert (other.exit_code, "axes asserted for sha256:other" in other.output) == (1, True)
    large = pellucid("import", INTERFACEGAN / "pggan_celebahq_age_boundary.npy", "--model", "dots")
    assert (large.exit_code, "has 512 numbers in SPACE_Z" in large.output) == (1, True)
    assert not (models.directory("dots") / "axes").exists()


def test_import_into_w_is_told_by_the_file_or_the_option(
    pellucid_styled: Pellucid, styled: Repository, tmp_path: Path
) -> None:
    told, untold = boundary(tmp_path, "age_w"), boundary(tmp_path, "smile")
    mixed = pellucid_styled("import", told, untold, "--model", "styled", "--set", "mixed")
    assert (mixed.exit_code, "those of one set lie in one space" in mixed.output) == (1, True)
    assert (
        pellucid_styled("import", told, untold, "--model", "styled", "--set", "theirs", "--space", "w").exit_code == 0
    )
    described, _ = axis_set.read(styled.directory("styled") / "axes" / "theirs.safetensors")
    assert [(axis.name, axis.space, axis.step_length) for axis in described.axes] == [
        ("age", SPACE_W, 1),
        ("smile", SPACE_W, 1),
    ]
    refused = pellucid_styled("import", told, "--model", "dots")
    assert (refused.exit_code, "has 4 numbers in SPACE_W; 'models/dots' has SPACE_Z of 4" in refused.output) == (
        1,
        True,
    )
