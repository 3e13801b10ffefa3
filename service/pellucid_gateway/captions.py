"""Captions to tokens, by the rule of AttnGAN's official code (Xu et al. 2018; its `datasets` and `trainer` modules)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pellucid_gateway.errors import invalid

_WORD = re.compile(r"\w+")
_UNREADABLE = "\ufffd\ufffd"


@dataclass(frozen=True)
class Tokens:
    """A caption as a model reads it: numbers (T,) of the words that it knows, those words, and those it does not."""

    numbers: tuple[int, ...]
    words: tuple[str, ...]
    unknown: tuple[str, ...]


def read(text: str, vocabulary: Mapping[str, int], longest: int, *, truncate: bool, field: str) -> Tokens:
    """Split a caption into lower-case words and drop those that the vocabulary lacks.

    Raises InvalidRequest about `field` where none is left, or more than `longest` are and `truncate` is false.
    """
    words = split(text)
    known = [word for word in words if word in vocabulary]
    unknown = tuple(dict.fromkeys(word for word in words if word not in vocabulary))
    if not known:
        raise invalid(field, f"none of its words ({', '.join(unknown) or 'it has none'}) is in the model's vocabulary")
    if len(known) > longest and not truncate:
        raise invalid(
            field, f"{len(known)} words, and the model takes {longest}: shorten it or set controls.truncate_caption"
        )
    kept = known[:longest]
    return Tokens(tuple(vocabulary[word] for word in kept), tuple(kept), unknown)


def split(text: str) -> list[str]:
    """Give a caption's words: letters, digits and underscores in a row, in lower case, of ASCII characters only."""
    found = _WORD.findall(text.replace(_UNREADABLE, " ").lower())
    words = (word.encode("ascii", "ignore").decode() for word in found)
    return [word for word in words if word]
