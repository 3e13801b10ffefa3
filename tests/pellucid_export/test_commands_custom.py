"""The command line with a network of one's own."""

import sys
from pathlib import Path

import pytest
import torch

from pellucid_export.repository import Repository
from tests.pellucid_export.families.custom_toys import Painter, save_painter
from tests.pellucid_export.families.test_onnx_classifier import CONFIG
from tests.pellucid_export.families.test_onnx_classifier import write as write_classifier
from tests.pellucid_export.test_commands import run

pytestmark = pytest.mark.torch

CARD = """\
# A painter with three colours.
task: generate
latent: 2
classes: [red, green, blue]
inputs:
  latent: z
  label: y
range: -1..1
display_name: The painter
license: CC0-1.0
"""
UP_TO_DATE = "holds these weights in this form already"


def test_a_torchscript_file_and_a_card_of_ten_lines_become_a_model(
    tmp_path: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_painter(tmp_path, CARD, "painter")
    monkeypatch.chdir(tmp_path)
    arguments = ("export", "custom", "painter.pt", "--name", "mine", "--option", "card=painter.yaml")
    limits = ("--repository", repository.root, "--max-batch-size", 2)
    first = run(*arguments, *limits)
    assert first.exit_code == 0, first.output
    card = repository.card("mine")
    assert (card.display_name, card.license, card.family) == ("The painter", "CC0-1.0", "custom")
    assert UP_TO_DATE in run(*arguments, *limits).output
    monkeypatch.chdir("/")
    verified = run("verify", "mine", "--repository", repository.root, "--checkpoint", tmp_path / "painter.pt")
    assert verified.exit_code == 0, verified.output


def test_a_changed_card_is_noticed(tmp_path: Path, repository: Repository) -> None:
    path = save_painter(tmp_path, CARD)
    arguments = ("export", "custom", path, "--name", "mine", "--repository", repository.root, "--max-batch-size", 2)
    assert run(*arguments).exit_code == 0
    path.with_suffix(".yaml").write_text(CARD.replace("CC0-1.0", "MIT"))
    assert UP_TO_DATE not in run(*arguments).output
    assert (repository.card("mine").license, repository.versions("mine")) == ("MIT", [1])
    path.with_suffix(".yaml").write_text(CARD.replace("-1..1", "0..1"))
    assert run(*arguments).exit_code == 0
    assert repository.versions("mine") == [1, 2]
    path.with_suffix(".yaml").write_text(CARD.replace("blue", "black"))
    refused = run(*arguments)
    assert refused.exit_code == 1
    assert "'mine' exists with another card.classes" in refused.output


def test_a_card_that_an_option_names_is_noticed_too(tmp_path: Path, repository: Repository) -> None:
    path = save_painter(tmp_path, CARD)
    card = path.with_suffix(".yaml").rename(tmp_path / "other.yaml")
    arguments = ("export", "custom", path, "--name", "mine", "--repository", repository.root, "--max-batch-size", 2)
    assert run(*arguments, "--option", "card=other.yaml").exit_code == 0
    card.write_text(CARD.replace("-1..1", "0..1"))
    assert run(*arguments, "--option", "card=other.yaml").exit_code == 0
    assert repository.versions("mine") == [1, 2]


def test_a_classifiers_changed_description_is_noticed(tmp_path: Path, repository: Repository) -> None:
    path = write_classifier(tmp_path, CONFIG)
    arguments = ("export", "onnx_classifier", path, "--name", "mine", "--repository", repository.root)
    assert run(*arguments).exit_code == 0
    assert UP_TO_DATE in run(*arguments).output
    write_classifier(tmp_path, CONFIG + "mean = [1]\n")
    assert run(*arguments).exit_code == 0
    assert repository.versions("mine") == [1, 2]


def test_a_factory_runs_at_every_export(
    tmp_path: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "painters.py").write_text(
        "import torch\n"
        "from tests.pellucid_export.families.custom_toys import Painter\n"
        "CALLS = []\n"
        "def make(path):\n"
        "    CALLS.append(path.name)\n"
        "    painter = Painter()\n"
        "    painter.load_state_dict(torch.load(path, weights_only=True))\n"
        "    return painter\n"
    )
    path = tmp_path / "weights.pth"
    torch.save(Painter().state_dict(), path)
    path.with_suffix(".yaml").write_text(CARD)
    arguments = ("export", "custom", path, "--name", "mine", "--repository", repository.root, "--max-batch-size", 2)
    for _ in range(2):
        done = run(*arguments, "--option", "factory=painters:make")
        assert done.exit_code == 0, done.output
    assert sys.modules.pop("painters").CALLS == ["weights.pth", "weights.pth"]
    assert repository.versions("mine") == [1]


@pytest.mark.parametrize(
    ("card", "options", "message"),
    [
        (CARD + "colour: red\n", (), "mine.yaml has the unknown key 'colour'; known are task, inputs, output"),
        (CARD, ("card=absent.yaml",), "option 'card': no file 'absent.yaml' in"),
        (CARD, ("factory=absent:make",), "option 'factory': absent cannot be imported"),
        (CARD, ("cards=x",), "family 'custom' has no option 'cards'; it has: card, factory, pixels"),
    ],
)
def test_mistakes_are_told_in_a_line_and_write_nothing(
    tmp_path: Path, repository: Repository, card: str, options: tuple[str, ...], message: str
) -> None:
    path = save_painter(tmp_path, card)
    given = [part for option in options for part in ("--option", option)]
    result = run("export", "custom", path, "--name", "mine", "--repository", repository.root, *given)
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert not repository.root.exists()
