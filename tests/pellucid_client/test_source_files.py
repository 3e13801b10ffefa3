from pathlib import Path

import pytest
import typer

from pellucid_client.commands.source_files import SourceFile, distinct, source_files


def touched(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_a_folder_gives_its_images_sorted_with_where_they_lie(tmp_path: Path) -> None:
    touched(tmp_path, "b/2.JPEG", "b/1.v2.png", "a.webp", "c.jpg", "notes.txt", "b/3.gif", "d.png/inner.png")
    found = source_files([tmp_path], tmp_path / "out")
    assert [(one.path, one.stem) for one in found] == [
        (tmp_path / "a.webp", "a"),
        (tmp_path / "b/1.v2.png", "b/1.v2"),
        (tmp_path / "b/2.JPEG", "b/2"),
        (tmp_path / "c.jpg", "c"),
        (tmp_path / "d.png/inner.png", "d.png/inner"),
    ]


def test_files_are_taken_whatever_their_ending_and_each_once(tmp_path: Path) -> None:
    touched(tmp_path, "a.bin", "x/a.png")
    files = source_files(
        [tmp_path / "a.bin", tmp_path / "x", tmp_path / "a.bin", tmp_path / "x/a.png"], tmp_path / "out"
    )
    assert files == [SourceFile(tmp_path / "a.bin", "a"), SourceFile(tmp_path / "x/a.png", "a-2")]


def test_what_is_written_within_a_folder_is_no_source_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touched(tmp_path, "a.png", "out/b.png", "out/deep/c.png", "outside/d.png")
    monkeypatch.chdir(tmp_path)
    assert [one.stem for one in source_files([Path()], Path("out"))] == ["a", "outside/d"]
    assert [one.stem for one in source_files([tmp_path / "out"], Path("out"))] == ["b", "deep/c"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(typer.BadParameter, match=r"'empty' holds no \.jpg, \.jpeg, \.png, \.webp"):
        source_files([Path("empty")], Path("out"))


def test_a_file_in_a_folder_keeps_its_place_when_it_is_named_again(tmp_path: Path) -> None:
    touched(tmp_path, "b.png", "x/a.png")
    files = source_files([tmp_path, tmp_path / "x/a.png"], tmp_path / "out")
    assert [one.stem for one in files] == ["b", "x/a"]


def test_names_that_are_taken_get_a_number() -> None:
    assert distinct(["a", "b", "a", "a-2", "a", ""]) == ["a", "b", "a-2", "a-2-2", "a-3", ""]
