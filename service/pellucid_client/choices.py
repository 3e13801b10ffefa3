"""Names that stand for something of the contract."""

from collections.abc import Mapping
from typing import TypeVar

from pellucid_client.errors import InvalidRequest

_Name = TypeVar("_Name", bound=str)
_Value = TypeVar("_Value")


def known(field: str, name: _Name, table: Mapping[_Name, _Value]) -> _Value:
    """Return what a name stands for; InvalidRequest lists the known names."""
    if name not in table:
        raise InvalidRequest.of(field, f"{name!r} is none of {', '.join(table)}")
    return table[name]
