"""The registry: every module in this folder is a family, named as the module, declared by its `FAMILY`.

A package of somebody else's joins by appending its folder to this package's `__path__`.
"""

import importlib
import pkgutil
from collections import Counter

from pellucid_export.errors import FamilyError
from pellucid_export.family import AnyFamily, Family


def names() -> list[str]:
    """The families' names, without importing them. Raises FamilyError where two folders have the same module."""
    found = Counter(module.name for path in __path__ for module in pkgutil.iter_modules([path]))
    twice = sorted(name for name, count in found.items() if count > 1)
    if twice:
        raise FamilyError(f"families declared twice: {', '.join(twice)} (in {', '.join(__path__)})")
    return sorted(found)


def get(name: str) -> AnyFamily:
    """The family of that name. Raises FamilyError, listing the known ones, where there is none."""
    known = names()
    if name not in known:
        raise FamilyError(f"unknown family '{name}'; known: {', '.join(known)}")
    family: object = getattr(importlib.import_module(f"{__name__}.{name}"), "FAMILY", None)
    if not isinstance(family, Family) or family.name != name:
        raise FamilyError(f"module '{name}' must declare FAMILY, a Family with the name '{name}'")
    return family
