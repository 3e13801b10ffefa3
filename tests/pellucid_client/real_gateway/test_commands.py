"""The command's options for controls, on atelier's models."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from tests.pellucid_client.commands import lines, run


@pytest.fixture(autouse=True)
def _target(target: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PELLUCID_TARGET", target)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    np.save("zero.npy", np.zeros(2))


def pixel(path: str | Path, x: int = 0, y: int = 0) -> tuple[int, ...]:
    with PIL.Image.open(path) as image:
        return tuple(int(value) for value in np.asarray(image.convert("RGB"))[y, x])


def generate(model: str, *words: str) -> tuple[int, ...]:
    assert run("generate", model, *words, "--format", "png") == 0
    return pixel("images/000000.png")


def official(seed: int) -> float:
    return 128 + 16 * float(np.random.RandomState(seed).randn())


def test_classes_are_given_by_name_or_index_and_mixed_by_shares() -> None:
    zero = ("--latents", "zero.npy", "--truncation", "0.5")
    assert generate("zoo", *zero, "--class", "Great Ape") == (100, 0, 10)
    assert generate("zoo", *zero, "--class", "1") == (0, 100, 10)
    assert generate("zoo", *zero, "--class", "bee=3", "--class", "0") == (25, 75, 10)


def test_a_caption_is_cut_on_request_and_its_unknown_words_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    caption = ("--latents", "zero.npy", "--caption", "a red plump red red bird")
    assert run("generate", "scribe", *caption) == 3
    assert "controls.caption" in capsys.readouterr().err
    assert generate("scribe", *caption, "--truncate-caption") == (7, 4, 128)
    told = "warning: image 0: words that are not in the model's vocabulary were left out: plump\n"
    assert capsys.readouterr().err == told


def test_a_condition_is_read_from_a_file() -> None:
    np.save("condition.npy", np.array([9.0, 8, 7]))
    assert generate("sketch", "--condition", "condition.npy") == (9, 8, 7)


def test_layers_are_truncated_below_the_cutoff() -> None:
    np.save("one.npy", np.array([1.0, 0]))
    silk = ("--latents", "one.npy", "--class", "silk", "--noise-strength", "0")
    # The first numbers are 2, and 1.25 where a layer is truncated towards 1.
    assert generate("tailor", *silk, "--truncation", "0.25", "--truncation-cutoff", "1") == (138, 144, 144)


def test_layers_are_mixed_in_from_official_seeds() -> None:
    silk = ("--class", "silk", "--noise-strength", "0", "--truncation", "1", "--official-seeds")
    wanted = tuple(round(official(seed)) for seed in (5, 6, 7))
    assert generate("tailor", "--seed", "5", *silk, "--mix", "6:1-2", "--mix", "7:2-2") == wanted
    words = ("--format", "png", "--out", "edited")
    assert run("edit", "tailor", "5..6", *silk, *words) == 0
    assert [pixel(f"edited/00000{k}.png")[0] for k in (0, 1)] == [round(official(5)), round(official(6))]
    assert run("interpolate", "tailor", "5", "6", "--frames", "1", *silk, "--format", "png", "--out", "walk") == 0
    assert [pixel(f"walk/00000{k}.png")[0] for k in (0, 1)] == [round(official(5)), round(official(6))]


def test_a_walk_between_images_behind_the_mapping_needs_no_path() -> None:
    silk = ("--class", "silk", "--noise-strength", "0", "--truncation", "1", "--format", "png")
    assert run("edit", "tailor", "5", "--move", "wide:1", *silk, "--recipes", "--official-seeds") == 0
    stops = ("images/000000.json", "images/000000.json")
    assert run("interpolate", "tailor", *stops, "--frames", "1", "--format", "png", "--out", "walk") == 0
    assert pixel("walk/000001.png")[0] == round(official(5) + 16)
    assert run("interpolate", "tailor", *stops, "--path", "spherical") == 3


def test_smaller_renditions_and_attention_are_written_beside_the_image(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--latents", "zero.npy", "--caption", "a red bird", "--format", "png", "--intermediates", "--attention")
    assert run("generate", "scribe", *words, "--json") == 0
    [printed] = map(json.loads, lines(capsys))
    assert printed["intermediates"] == ["images/000000-4x4.png"]
    assert printed["attention"] == "images/000000-attention.png"
    with PIL.Image.open("images/000000-4x4.png") as smaller:
        assert (smaller.size, smaller.getpixel((3, 3))) == ((4, 4), (6, 3, 128))
    with PIL.Image.open("images/000000-attention.png") as sheet:
        # The image and three words that drew on all of it alike.
        assert (np.asarray(sheet) == (6, 3, 128)).all(axis=2).sum() == 4 * 128 * 128


def test_what_a_model_does_not_give_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("generate", "paint", "--count", "3", "--attention", "--intermediates") == 0
    assert capsys.readouterr().err == (
        "warning: models/paint gives no intermediates\nwarning: models/paint gives no attention\n"
    )
    assert sorted(path.name for path in Path("images").iterdir()) == [f"00000{k}.jpg" for k in range(3)]


def test_classes_are_listed_and_searched(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("classes", "zoo", "ape", "great", "--json") == 0
    assert json.loads(lines(capsys)[0]) == [{"index": 0, "name": "great ape"}]
    assert run("classes", "zoo") == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in ("great ape", "bee", "crane"))
    assert run("classes", "nothing") == 3


def test_models_are_listed_with_what_they_can_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models") == 0
    rows = [[cell.strip() for cell in line.split("│")] for line in lines(capsys) if "│" in line]
    can = {row[1]: row[4] for row in rows}
    assert can["zoo"] == "classes 3, truncation, official seeds"
    assert can["tailor"] == "classes 2, truncation, mixing, noise, noise seeds, official seeds"
    assert can["scribe"] == "captions, intermediates, attention"
    assert can["sketch"] == "condition 3"
    assert (can["paint"], can["meter"]) == ("", "labels 3")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--class", "bee=much"), "'much' in 'bee=much'"),
        (("--class", "bee", "--class", "bee=2"), "class bee is given twice"),
        (("--mix", "7"), "'7' is not SEED:FIRST-LAST"),
        (("--mix", "7:2"), "'7:2' is not SEED:FIRST-LAST"),
        (("--mix", "7:2--1"), "'7:2--1' is not SEED:FIRST-LAST"),
        (("--mix", "1..2:0-1"), "means 2 sources, not one"),
        (("--condition", "missing.npy"), "missing.npy"),
        (("--truncation-cutoff", "-1"), "--truncation-cutoff"),
    ],
)
def test_a_control_that_cannot_be_read_is_wrong_usage(
    words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("generate", "zoo", *words) == 2
    assert told in capsys.readouterr().err


def test_more_official_seeds_than_fit_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("generate", "zoo", "--class", "bee", "--count", "10001", "--official-seeds") == 3
    assert "10001 official seeds are not 1 to 10000" in capsys.readouterr().err
