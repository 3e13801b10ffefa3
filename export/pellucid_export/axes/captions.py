"""Captions to tokens, by the rule of AttnGAN's official code (Xu et al., CVPR 2018), as the gateway reads them."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from pellucid_export.axes.errors import AxesError

_WORD = re.compile(r"\w+")
_UNREADABLE = "\ufffd\ufffd"


@dataclass(frozen=True)
class Tokens:
    """The words of a caption that a model knows, their numbers in its vocabulary, and the words it does not know."""

    words: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    unknown: tuple[str, ...] = ()


def read(caption: str, vocabulary: Path, longest: int) -> Tokens:
    """Read a caption with a vocabulary, a JSON file of each word's number.

    Raises AxesError where no word is known, or more than `longest` are.
    """
    try:
        numbers: dict[str, int] = json.loads(vocabulary.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AxesError(f"vocabulary {vocabulary}: {error}") from error
    words = split(caption)
    known = tuple(word for word in words if word in numbers)
    if not known or len(known) > longest:
        raise AxesError(f"caption '{caption}' has {len(known)} words that the model knows; it takes 1 to {longest}")
    return Tokens(known, tuple(numbers[word] for word in known), tuple(word for word in words if word not in numbers))


def split(caption: str) -> list[str]:
    """A caption's words: letters, digits and underscores in a row, in lower case, of ASCII characters only."""
    found = _WORD.findall(caption.replace(_UNREADABLE, " ").lower())
    words = (word.encode("ascii", "ignore").decode() for word in found)
    return [word for word in words if word]
