"""A family's options, given as text and read by its declaration."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pellucid_export.errors import FamilyError
from pellucid_export.family import AnyFamily

_FLAGS = {"true": True, "false": False}


def parse(family: AnyFamily, given: Mapping[str, str]) -> Any:
    """The family's options with the given values. Raises FamilyError naming unknown options and wrong values."""
    kinds = {field.name: get_type_hints(family.options)[field.name] for field in dataclasses.fields(family.options)}
    unknown = sorted(set(given) - set(kinds))
    if unknown:
        known = ", ".join(sorted(kinds)) or "none"
        raise FamilyError(f"family '{family.name}' has no option '{unknown[0]}'; it has: {known}")
    return family.options(**{name: _value(name, kinds[name], text) for name, text in given.items()})


def describe(family: AnyFamily) -> list[str]:
    """One text an option, `name=default`."""
    return [f"{field.name}={field.default}" for field in dataclasses.fields(family.options)]


def _value(name: str, kind: Any, text: str) -> object:
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise FamilyError(f"option '{name}' must be one of {', '.join(get_args(kind))}, not '{text}'")
        return text
    if kind is bool:
        if text not in _FLAGS:
            raise FamilyError(f"option '{name}' must be true or false, not '{text}'")
        return _FLAGS[text]
    try:
        return kind(text)
    except ValueError as error:
        raise FamilyError(f"option '{name}' must be of type {kind.__name__}, not '{text}'") from error
