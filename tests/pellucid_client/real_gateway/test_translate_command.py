"""`pellucid translate`, on workshop's models."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from tests.pellucid_client.commands import lines, run
from tests.pellucid_client.real_gateway.pictures import INSTANCES, LABELS

PNG = ("--format", "png")


@pytest.fixture(autouse=True)
def _target(target: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PELLUCID_TARGET", target)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


def save(path: str, *colour: int, size: tuple[int, int] = (8, 8)) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", size, colour).save(path)
    return path


def pixels(path: str | Path) -> Any:
    with PIL.Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def colour(path: str | Path) -> list[int]:
    return list(pixels(path)[0, 0].tolist())


def written(folder: str = "images") -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def test_each_target_is_a_file_named_after_the_source_and_the_target(capsys: pytest.CaptureFixture[str]) -> None:
    face = save("face.png", 0, 0, 0)
    words = ("--to", "fair,hat", "--to", "fair+hat,moods:calm", "--label", "dark=1", "--label", "hat=1")
    assert run("translate", "barber", face, *words, *PNG) == 0
    assert written() == ["face-fair+hat.png", "face-fair.png", "face-hat.png", "face-moods-calm.png"]
    assert colour("images/face-fair.png") == [0, 20, 30]
    assert colour("images/face-hat.png") == [10, 0, 0]
    assert colour("images/face-fair+hat.png") == [0, 20, 0]
    assert colour("images/face-moods-calm.png") == [100, 100, 100]
    assert capsys.readouterr().out == "wrote 4 images to images\n"


def test_values_are_a_target_or_belong_to_each(capsys: pytest.CaptureFixture[str]) -> None:
    face = save("face.png", 0, 0, 0)
    assert run("translate", "barber", face, "--value", "hat=1", "--label", "dark=1", *PNG) == 0
    assert colour("images/face-hat=1.png") == [10, 0, 30]
    assert run("translate", "barber", face, "--to", "fair", "--value", "hat=0.5", "--label", "dark=1", *PNG) == 0
    assert colour("images/face-fair+hat=0.5.png") == [0, 20, 15]


def test_all_domains_are_named_by_the_card() -> None:
    save("face.png", 0, 0, 0)
    assert run("translate", "barber", "face.png", "--all-domains", "--label", "dark=1", *PNG) == 0
    assert {name: colour(f"images/{name}") for name in written()} == {
        "face-looks-dark.png": [10, 0, 0],
        "face-looks-fair.png": [0, 20, 0],
        "face-looks-hat.png": [10, 0, 30],
        "face-moods-calm.png": [100, 100, 100],
        "face-moods-wild.png": [100, 100, 100],
    }


def test_folders_are_read_recursively_and_written_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    for k, path in enumerate(("photos/b.png", "photos/a/c.PNG", "photos/a/d.webp", "photos/images/old-back.png")):
        save(path, k, k, k)
    Path("photos/notes.txt").write_text("no picture")
    assert run("translate", "seasons", "photos", "--out", "photos/images", *PNG, "--json") == 0
    printed = [json.loads(line) for line in lines(capsys)]
    assert [(one["source"], one["path"]) for one in printed] == [
        ("photos/a/c.PNG", "photos/images/a/c-summer2winter.png"),
        ("photos/a/d.webp", "photos/images/a/d-summer2winter.png"),
        ("photos/b.png", "photos/images/b-summer2winter.png"),
    ]
    assert [one["applied"]["direction"] for one in printed] == ["summer2winter"] * 3
    assert colour("photos/images/a/c-summer2winter.png") == [254] * 3
    assert colour("photos/images/b-summer2winter.png") == [255] * 3


def test_sources_of_one_name_do_not_write_over_each_other() -> None:
    paths = [save("one/a.png", 1, 1, 1), save("two/a.png", 2, 2, 2), save("one/a.webp", 3, 3, 3)]
    assert run("translate", "seasons", *paths, paths[0], *PNG) == 0
    assert [colour(f"images/{name}")[0] for name in written()] == [253, 252, 254]
    assert written() == ["a-2-summer2winter.png", "a-3-summer2winter.png", "a-summer2winter.png"]


def test_a_source_is_not_written_over(capsys: pytest.CaptureFixture[str]) -> None:
    save("a.png", 9, 9, 9, size=(4, 4))
    assert run("translate", "lace", "a.png", "--out", ".", *PNG, "--dropout-seed", "1") == 1
    assert "  a.png: a.png would be written over, and is a source\n" in capsys.readouterr().err
    assert (pixels("a.png") == 9).all()


def test_failures_are_listed_at_the_end_and_the_others_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    save("photos/a.png", 1, 1, 1)
    Path("photos/b.png").write_bytes(b"rubbish")
    Path("photos/c.jpg").write_bytes(b"")
    save("photos/d.png", 4, 4, 4)
    assert run("translate", "seasons", "photos", *PNG, "--sheet", "sheet.png") == 1
    assert written() == ["a-summer2winter.png", "d-summer2winter.png"]
    captured = capsys.readouterr()
    assert captured.out == "wrote 2 images to images\n"
    sheet, count, first, second = captured.err.splitlines()
    assert (sheet, count) == ("wrote sheet.png", "error: 2 of 4 sources failed")
    assert first.startswith("  photos/b.png: source.image.data: 7 bytes are no readable")
    assert second.startswith("  photos/c.jpg: ")
    assert run("translate", "seasons", "photos", *PNG, "--json") == 1
    printed = [json.loads(line) for line in lines(capsys)]
    assert [("error" in one, one["source"]) for one in printed][:2] == [(False, "photos/a.png"), (True, "photos/b.png")]


def test_what_no_image_can_be_asked_for_is_each_image_s_failure(capsys: pytest.CaptureFixture[str]) -> None:
    save("a.png", 1, 1, 1)
    assert run("translate", "barber", "a.png", "--to", "bald") == 1
    assert "no domain 'bald'; there are dark, fair, hat" in capsys.readouterr().err
    assert run("translate", "nothing", "a.png") == 3
    assert "no model 'models/nothing'" in capsys.readouterr().err
    assert run("translate", "paint", "a.png") == 3


def test_a_cycle_writes_its_way_back_and_tells_its_error(capsys: pytest.CaptureFixture[str]) -> None:
    save("a.png", 55, 55, 55)
    assert run("translate", "seasons", "a.png", "--cycle", *PNG) == 0
    assert written() == ["a-summer2winter-back.png", "a-summer2winter.png"]
    assert (colour("images/a-summer2winter.png"), colour("images/a-summer2winter-back.png")) == ([200] * 3, [100] * 3)
    assert lines(capsys)[0] == "images/a-summer2winter.png: mean error there and back 45.00"
    assert run("translate", "seasons", "a.png", "--cycle", *PNG, "--json") == 0
    [printed] = map(json.loads, lines(capsys))
    assert (printed["reconstruction"], printed["meanError"]) == ("images/a-summer2winter-back.png", 45)
    assert run("translate", "seasons", "a.png", "--direction", "winter2summer", *PNG) == 0
    assert colour("images/a-winter2summer.png") == [27] * 3


@pytest.mark.parametrize(
    ("words", "shape"),
    [
        ((), (10, 7)),
        (("--fit", "resize"), (8, 8)),
        (("--size", "16x4"), (16, 4)),
        (("--size", "x12"), (16, 12)),
        (("--size", "20x", "--fit", "resize"), (20, 16)),
        (("--center-crop", "9"), (9, 9)),
        (("--official",), (8, 8)),
    ],
)
def test_sources_are_fitted_as_asked(words: tuple[str, ...], shape: tuple[int, int]) -> None:
    save("a.png", 1, 1, 1, size=(7, 10))
    assert run("translate", "seasons", "a.png", *words, *PNG) == 0
    assert pixels("images/a-summer2winter.png").shape == (*shape, 3)


def scene(*words: str) -> Any:
    PIL.Image.fromarray(LABELS).save("street.png")
    PIL.Image.fromarray(INSTANCES).save("instances.png")
    maps = ("--label-map", "street.png", "--instance-map", "instances.png", "--fit", "keep")
    assert run("translate", "town", *maps, *words, *PNG) == 0
    return pixels("images/street.png")


def test_a_scene_is_edited_in_the_order_that_is_documented() -> None:
    assert (scene()[:, :, 0] == 50 * LABELS).all()
    PIL.Image.fromarray(np.array([[1, 1], [0, 1]], np.uint8)).save("mask.png")
    edited = scene("--paste", "mask.png:2@-1,2", "--remove", "1000", "--relabel", "40000=1")
    assert (edited[:, :, 0] // 50).tolist() == [[0, 0, 0, 2], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]]


def test_maps_may_be_arrays() -> None:
    np.save("street.npy", LABELS.astype(np.int64))
    np.save("instances.npy", INSTANCES.astype(np.int32))
    maps = ("--label-map", "street.npy", "--instance-map", "instances.npy", "--fit", "keep")
    assert run("translate", "town", *maps, *PNG, "--sheet", "sheet.png") == 0
    assert (pixels("images/street.png")[:, :, 0] == 50 * LABELS).all()


def test_looks_are_drawn_chosen_or_taken_from_an_example() -> None:
    save("example.png", 150, 0, 0, size=(4, 4))
    assert scene("--cluster", "1000=3", "--style-seed", "5")[1, 1, 2] == 250
    assert scene("--style-example", "example.png")[1, 1, 2] == 150
    seeds = [int(scene("--style-seed", str(k))[1, 1, 2]) for k in range(8)]
    assert seeds[5] == int(scene("--style-seed", "5")[1, 1, 2])
    assert len(set(seeds)) > 1


def test_dropout_is_drawn_from_its_seed() -> None:
    save("a.png", 9, 9, 9, size=(4, 4))
    assert run("translate", "lace", "a.png", *PNG) == 0
    assert (pixels("images/a.png") == 9).all()
    assert run("translate", "lace", "a.png", "--dropout-seed", "5", *PNG) == 0
    assert set(np.unique(pixels("images/a.png"))) == {0, 9}


def test_the_sheet_has_a_row_a_source_and_a_column_a_target() -> None:
    save("photos/a.png", 0, 0, 0)
    save("photos/b.png", 50, 50, 50, size=(8, 4))
    words = ("--to", "hat,fair", "--label", "dark=1", "--sheet", "sheet.png")
    assert run("translate", "barber", "photos", *words, *PNG) == 0
    drawn = pixels("sheet.png")

    def px(*level: int) -> int:
        return int((drawn == level).all(axis=2).sum())

    tile = 128 * 128
    assert [px(0, 0, 0), px(10, 0, 30), px(0, 20, 0)] == [tile, tile, tile]
    # A source of twice its height in width keeps its shape.
    assert [px(50, 50, 50), px(60, 50, 80), px(50, 70, 50)] == [tile // 2, tile // 2, tile // 2]
    rows, columns = np.nonzero((drawn == (0, 20, 0)).all(axis=2))
    below, beside = np.nonzero((drawn == (50, 70, 50)).all(axis=2))
    assert (columns.min(), columns.max()) == (beside.min(), beside.max())
    assert rows.max() < below.min()


def test_the_sheet_of_a_scene_shows_its_labels() -> None:
    scene("--sheet", "sheet.png")
    drawn = pixels("sheet.png")
    # Three labels in greys: 0, 127 and 255; the car, a quarter of the scene, keeps its grey but for its borders.
    assert (abs(drawn - 127) < 40).all(axis=2).sum() > 128 * 128 // 4 * 0.7


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "give either images or --label-map"),
        (("a.png", "--label-map", "a.png"), "give either images or --label-map"),
        (("a.png", "--remove", "3"), "go with --label-map"),
        (("missing.png",), "missing.png"),
        (("empty",), "holds no .jpg, .jpeg, .png, .webp"),
        (("a.png", "--to", "fair,"), "'' is not NAME, NAME+NAME or SET:NAME"),
        (("a.png", "--to", "fair++hat"), "'fair++hat' is not NAME"),
        (("a.png", "--value", "hat"), "'hat' is not NAME=0 or NAME=1"),
        (("a.png", "--value", "hat=2"), "'hat=2' is not NAME=0 or NAME=1"),
        (("a.png", "--label", "hat=1", "--label", "hat=0"), "hat is given twice"),
        (("a.png", "--all-domains", "--to", "hat"), "--all-domains goes without --to and --value"),
        (("a.png", "--size", "12"), "'12' is not HEIGHTxWIDTH"),
        (("a.png", "--size", "x"), "'x' is not HEIGHTxWIDTH"),
        (("a.png", "--official", "--fit", "pad"), "--official goes without"),
        (("a.png", "--fit", "squeeze"), "squeeze"),
        (("--label-map", "a.png", "--relabel", "1000"), "'1000' is not ID=LABEL"),
        (("--label-map", "a.png", "--paste", "a.png:1@2"), "'a.png:1@2' is not MASK.png:LABEL@TOP,LEFT"),
        (("--label-map", "a.png", "--paste", "b.png:1@2,3"), "'b.png' in 'b.png:1@2,3' is no file"),
        (("a.png", "--cluster", "7=x"), "'7=x' is not ID=K"),
        (("a.png", "--cluster", "7=1", "--cluster", "7=2"), "instance 7 is given twice"),
        (("a.png", "--sheet", "sheet.doc"), "does not end like a picture"),
    ],
)
def test_what_cannot_be_read_is_wrong_usage(
    words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save("a.png", 1, 1, 1)
    Path("empty").mkdir()
    assert run("translate", "barber", *words) == 2
    assert told in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not Path("images").exists()


def test_a_size_that_is_not_for_resizing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    save("a.png", 1, 1, 1)
    assert run("translate", "seasons", "a.png", "--size", "8x8", "--fit", "pad") == 3
    assert "height and width are for \"resize\", not for 'pad'" in capsys.readouterr().err


def test_models_are_listed_with_what_they_translate(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models") == 0
    rows = [[cell.strip() for cell in line.split("│")] for line in lines(capsys) if "│" in line]
    can = {row[1]: row[4] for row in rows}
    assert can["barber"] == "domains 5"
    assert can["seasons"].startswith("directions summer2winter")
    assert can["town"] == "label maps, instances, styles"
    assert can["lace"] == "dropout"
