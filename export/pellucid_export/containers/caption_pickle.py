"""AttnGAN's captions.pickle, read without executing it: the vocabulary that a text encoder was trained with.

It is a list of the training captions, the test captions, `ixtoword` (word by number) and `wordtoix` (number by word).
Number 0 stands for the end of a caption and is no word.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pellucid_export.containers import pickled
from pellucid_export.errors import CheckpointError

_WORD_BY_NUMBER, _NUMBER_BY_WORD, _PARTS = 2, 3, 4


def read(path: Path) -> dict[str, int]:
    """The number of every word, 1 and up without gaps.

    Raises CheckpointError, with the file's name, for a pickle that calls anything, has other content, or whose two
    tables disagree.
    """
    content = pickled.read(path, _KNOWN)
    try:
        return _vocabulary(content)
    except CheckpointError as error:
        raise CheckpointError(f"{path.name}: {error}") from error


def _vocabulary(content: Any) -> dict[str, int]:
    tables = content[_WORD_BY_NUMBER:] if isinstance(content, list | tuple) and len(content) == _PARTS else []
    if len(tables) != _PARTS - _WORD_BY_NUMBER or not all(isinstance(table, dict) for table in tables):
        raise CheckpointError("a list of training captions, test captions, ixtoword and wordtoix is expected")
    words, numbers = tables
    if not all(isinstance(word, str | bytes) for word in (*words.values(), *numbers)):
        raise CheckpointError("ixtoword and wordtoix must hold words")
    if set(words) != set(range(len(words))) or len(words) < len(("<end>", "a word")):
        raise CheckpointError(f"ixtoword must number its {len(words)} words from 0 on without gaps, 0 being the end")
    _check_agreement(words, numbers)
    return {_text(words[number]): number for number in range(1, len(words))}


def _check_agreement(words: Mapping[int, str | bytes], numbers: Mapping[str | bytes, int]) -> None:
    by_number = {_text(word): number for number, word in words.items()}
    by_word = {_text(word): number for word, number in numbers.items()}
    if len(by_number) != len(words) or by_number != by_word:
        differing = sorted(
            word for word in by_number.keys() | by_word.keys() if by_number.get(word) != by_word.get(word)
        )
        examples = f", as on {', '.join(map(repr, differing[:3]))}" if differing else ""
        raise CheckpointError(
            f"ixtoword ({len(words)} words) and wordtoix ({len(numbers)} words) do not agree{examples}"
        )


def _text(word: str | bytes) -> str:
    """Python 2 wrote byte strings, in UTF-8 where they were not ASCII, and `pickled` hands those over as latin1."""
    try:
        return (word if isinstance(word, bytes) else word.encode("latin1")).decode()
    except UnicodeDecodeError:
        return word.decode("latin1") if isinstance(word, bytes) else word
    except UnicodeEncodeError:
        return str(word)


def _bytes(text: str, _encoding: str) -> bytes:
    return text.encode("latin1")


_KNOWN: pickled.Globals = {"_codecs.encode": _bytes}
"""Python 3 writes bytes in the protocol of Python 2 as a call of this function."""
