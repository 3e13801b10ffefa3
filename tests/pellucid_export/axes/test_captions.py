from pathlib import Path

import pytest

from pellucid_export.axes import captions
from pellucid_export.axes.captions import Tokens
from pellucid_export.axes.errors import AxesError

pytestmark = pytest.mark.torch


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    (tmp_path / "vocabulary.json").write_text('{"the": 4, "red": 2, "bird": 9, "caf": 3, "s": 1}')
    return tmp_path / "vocabulary.json"


def test_words_are_found_as_the_official_code_finds_them() -> None:
    assert captions.split("The small, RED bird's café\ufffd\ufffdwing_2 — über") == [
        *("the", "small", "red", "bird", "s", "caf", "wing_2", "ber"),
    ]
    assert captions.split("— ü!") == []


def test_known_words_become_their_numbers_and_the_others_are_named(vocabulary: Path) -> None:
    tokens = captions.read("The small, red bird!", vocabulary, 3)
    assert tokens == Tokens(("the", "red", "bird"), (4, 2, 9), ("small",))


@pytest.mark.parametrize(("caption", "count"), [("a wing", 0), ("red red red bird", 4)])
def test_a_caption_without_known_words_or_with_too_many_is_refused(vocabulary: Path, caption: str, count: int) -> None:
    with pytest.raises(AxesError, match=f"'{caption}' has {count} words that the model knows; it takes 1 to 3"):
        captions.read(caption, vocabulary, 3)


def test_a_vocabulary_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(AxesError, match=r"absent\.json"):
        captions.read("red", tmp_path / "absent.json", 3)
