import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from pellucid_export.containers import caption_pickle
from pellucid_export.errors import CheckpointError

pytestmark = pytest.mark.torch

WORDS = {0: "<end>", 1: "red", 2: "bird"}
NUMBERS = {"<end>": 0, "red": 1, "bird": 2}


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def written(folder: Path, content: object, protocol: int = 2) -> Path:
    path = folder / "captions.pickle"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_words_are_numbered_from_1_and_the_end_is_no_word(tmp_path: Path, protocol: int) -> None:
    path = written(tmp_path, [[[1, 2]], [[2]], WORDS, NUMBERS], protocol)
    assert caption_pickle.read(path) == {"red": 1, "bird": 2}


@pytest.mark.parametrize("protocol", [2, 4])
def test_words_may_be_bytes(tmp_path: Path, protocol: int) -> None:
    words = {number: word.encode() for number, word in WORDS.items()}
    path = written(tmp_path, [[], [], words, {word: number for number, word in words.items()}], protocol)
    assert caption_pickle.read(path) == {"red": 1, "bird": 2}


def test_byte_strings_of_python_2_are_utf_8_or_else_latin1(tmp_path: Path) -> None:
    words = b"K\x00U\x05<end>K\x01U\x05caf\xc3\xa9K\x02U\x04na\xefv"
    numbers = b"U\x05<end>K\x00U\x05caf\xc3\xa9K\x01U\x04na\xefvK\x02"
    path = written(tmp_path, b"\x80\x02](]]}(" + words + b"u}(" + numbers + b"ue.")
    assert caption_pickle.read(path) == {"café": 1, "naïv": 2}


def test_text_of_any_script_stays_as_it_is(tmp_path: Path) -> None:
    path = written(tmp_path, [[], [], {0: "<end>", 1: "naïv", 2: "鳥"}, {"<end>": 0, "naïv": 1, "鳥": 2}])
    assert caption_pickle.read(path) == {"naïv": 1, "鳥": 2}


@pytest.mark.parametrize("where", [0, 2])
def test_a_pickle_that_would_run_a_command_is_refused_by_name_and_runs_nothing(tmp_path: Path, where: int) -> None:
    victim = tmp_path / "victim"
    content: list[object] = [[], [], WORDS, NUMBERS]
    content[where] = Calls(os.system, f"touch {victim}")
    with pytest.raises(CheckpointError, match=r"captions.pickle: refused, it calls posix.system; nothing .* executed"):
        caption_pickle.read(written(tmp_path, content))
    assert not victim.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"ixtoword": WORDS}, "a list of training captions, test captions, ixtoword and wordtoix is expected"),
        ([WORDS, NUMBERS], "a list of training captions"),
        ([[], [], list(WORDS.values()), NUMBERS], "a list of training captions"),
        ([[], [], {0: "<end>", 1: 7}, NUMBERS], "must hold words"),
        ([[], [], {1: "red", 2: "bird"}, {"red": 1, "bird": 2}], "number its 2 words from 0 on without gaps"),
        ([[], [], {0: "<end>"}, {"<end>": 0}], "number its 1 words from 0"),
        ([[], [], WORDS, {"<end>": 0, "red": 2, "bird": 1}], r"\(3 words\) .* do not agree, as on 'bird', 'red'"),
        ([[], [], WORDS, {"<end>": 0, "red": 1}], r"\(3 words\) and wordtoix \(2 words\) do not agree, as on 'bird'"),
        ([[], [], {**WORDS, 3: "red"}, {**NUMBERS, "red": 3}], r"ixtoword \(4 words\) .*do not agree$"),
    ],
)
def test_other_content_is_refused_with_the_reason(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(CheckpointError, match=f"captions.pickle: .*{message}"):
        caption_pickle.read(written(tmp_path, content))


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, pickle.dumps([[], [], WORDS, NUMBERS], 2)[:-20])
    with pytest.raises(CheckpointError, match=r"captions.pickle: not a readable pickle"):
        caption_pickle.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"captions.pickle: No such file"):
        caption_pickle.read(tmp_path / "captions.pickle")
