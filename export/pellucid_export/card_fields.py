"""The fields of a card: values of the types and within the limits that are asked for, every fault with its place."""

import math
import re
from collections.abc import Mapping, Sequence

from pellucid_export.errors import CheckpointError

_SPAN = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*\.\.\s*(-?\d+(?:\.\d+)?)\s*")
_MOST_AXES = 8


def refusal(where: str, value: object, wanted: str) -> CheckpointError:
    """The error for a value that is not what is wanted."""
    return CheckpointError(f"{where} {wanted}" + ("; it is missing" if value is None else f", not {value!r}"))


class Fields:
    """A mapping of a card at the place `where`, with no other keys than `known`; a key without a value is absent.

    All methods raise CheckpointError for values of other types or beyond the limits.
    """

    def __init__(self, values: object, where: str, known: Sequence[str]) -> None:
        if values is None:
            values = {}
        if not isinstance(values, Mapping):
            raise refusal(where, values, f"must be a mapping with some of the keys {', '.join(known)}")
        unknown = [key for key in values if key not in known]
        if unknown:
            raise CheckpointError(f"{where} has the unknown key '{unknown[0]}'; known are {', '.join(known)}")
        self._values, self._place = values, where

    def where(self, key: str) -> str:
        """The place of a field, for people."""
        return f"{self._place}: {key}" if ":" not in self._place else f"{self._place}.{key}"

    def has(self, key: str) -> bool:
        """Whether there is a value."""
        return self.value(key) is not None

    def value(self, key: str) -> object:
        """The value as it is, or None."""
        return self._values.get(key)

    def text(self, key: str, obligatory: bool = False) -> str:
        """A text, by default empty."""
        value = self.value(key)
        if value is None and not obligatory:
            return ""
        if not isinstance(value, str) or not value.strip():
            raise refusal(self.where(key), value, "must be a text (in quotes where it looks like something else)")
        return value

    def choice(self, key: str, known: Sequence[str]) -> str:
        """One of some texts, by default the first."""
        value = self.value(key)
        if value is None:
            return known[0]
        if value not in known:
            raise refusal(self.where(key), value, f"must be one of {', '.join(known)}")
        return str(value)

    def flag(self, key: str) -> bool:
        """True or false, by default false."""
        value = self.value(key)
        if value is not None and not isinstance(value, bool):
            raise refusal(self.where(key), value, "must be true or false")
        return bool(value)

    def whole(self, key: str, default: int | None, most: int) -> int:
        """A whole number from 1 to `most`; without a default it is obligatory."""
        value = self.value(key)
        if value is None and default is not None:
            return default
        if type(value) is not int or not 1 <= value <= most:
            raise refusal(self.where(key), value, f"must be a whole number from 1 to {most}")
        return value

    def number(self, key: str, default: float, least: float, most: float) -> float:
        """A number from `least` to `most`."""
        value = default if self.value(key) is None else self.value(key)
        if type(value) not in (int, float) or not least <= value <= most:  # type: ignore[operator]
            raise refusal(self.where(key), value, f"must be a number from {least:g} to {most:g}")
        return float(value)  # type: ignore[arg-type]

    def span(self, key: str, default: tuple[float, float]) -> tuple[float, float]:
        """Two numbers, the lower first, as the text "LOW..HIGH"."""
        value = self.value(key)
        if value is None:
            return default
        found = _SPAN.fullmatch(value) if isinstance(value, str) else None
        if found is None or not float(found[1]) < float(found[2]):
            raise refusal(self.where(key), value, "must be two numbers LOW..HIGH, such as -1..1, 0..1 or 0..255")
        return float(found[1]), float(found[2])

    def name_or_number(self, key: str) -> str | int | None:
        """What stands for one of several, its name or its number from 0 on; None where there is none."""
        value = self.value(key)
        if value is None:
            return None
        if isinstance(value, str) and value.strip():
            return value
        if type(value) is int and value >= 0:
            return value
        raise refusal(self.where(key), value, "must be a name, or a number from 0 on")

    def shape(self, key: str, most: int) -> tuple[int, ...] | None:
        """Lengths of axes, of `most` numbers in all; None where there are none."""
        value = self.value(key)
        if value is None:
            return None
        wanted = f"must list the lengths of up to {_MOST_AXES} axes without the batch, for up to {most} numbers"
        if not isinstance(value, list) or not all(type(length) is int and length > 0 for length in value):
            raise refusal(self.where(key), value, wanted)
        if len(value) > _MOST_AXES or math.prod(value) > most:
            raise refusal(self.where(key), value, wanted)
        return tuple(value)

    def names(self, key: str) -> list[str]:
        """Different texts, at least one."""
        names = [part.text("name", obligatory=True) for part in self.items(key, ("name",), "name")]
        self.check_distinct(key, names)
        return names

    def check_distinct(self, key: str, names: Sequence[str]) -> None:
        """Refuse a name that is there twice."""
        twice = [name for index, name in enumerate(names) if name in names[:index]]
        if twice:
            raise CheckpointError(f"{self.where(key)} has '{twice[0]}' twice")

    def part(self, key: str, known: Sequence[str], short: str = "") -> "Fields":
        """A mapping within this one; where `short` is a key of it, a bare value stands for that alone."""
        return self._within(self.value(key), self.where(key), known, short)

    def items(self, key: str, known: Sequence[str], short: str) -> "list[Fields]":
        """The mappings, or bare values, in a list, which has at least one."""
        values = self.value(key)
        if not isinstance(values, list) or not values:
            raise refusal(self.where(key), values, f"must list names, or mappings with the keys {', '.join(known)}")
        return [self._within(one, f"{self.where(key)}[{index}]", known, short) for index, one in enumerate(values)]

    def refuse(self, key: str, wanted: str) -> None:
        """Refuse a value where the others leave no room for one."""
        if self.has(key):
            raise refusal(self.where(key), self.value(key), wanted)

    @staticmethod
    def _within(value: object, where: str, known: Sequence[str], short: str) -> "Fields":
        is_bare = short and value is not None and not isinstance(value, Mapping)
        return Fields({short: value} if is_bare else value, where, known)
