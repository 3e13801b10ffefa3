"""What sources are translated to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, TypeAlias

from pellucid.v1 import translation_service_pb2 as pb
from pellucid_client.errors import InvalidRequest
from pellucid_client.image_input import ImageLike, image_input
from pellucid_client.sources import checked_seed


@dataclass(frozen=True, init=False)
class Change:
    """Domains changed together: `Change("Blond_Hair", "Smiling")`, `Change("angry", of="rafd")`.

    Of attributes, one of an exclusive group takes the others' place and any other is flipped, relative to the source's
    labels; `values` sets attributes to 0 or 1 whatever those are. Of classes, the one that is wanted.
    """

    names: tuple[str, ...]
    values: Mapping[str, float]
    of: str
    """The data set that is meant. Default: the model's first."""

    def __init__(self, *names: str, values: Mapping[str, float] | None = None, of: str = "") -> None:
        for name, value in (("names", names), ("values", dict(values or {})), ("of", of)):
            object.__setattr__(self, name, value)

    def message(self) -> pb.DomainTarget:
        """Return the change as the contract's message."""
        return pb.DomainTarget(
            set=self.of, change=self.names, values={name: float(value) for name, value in self.values.items()}
        )


@dataclass(frozen=True, eq=False)
class Style:
    """The look of a scene's instances: clusters drawn from a seed, or the looks of an example."""

    seed: int | None = None
    """Default 0. Not together with `example`."""
    example: ImageLike | None = None
    """An image of the same scene."""
    clusters: Mapping[int, int] = field(default_factory=dict)
    """Clusters chosen by instance, above what the others say."""

    def message(self) -> pb.StyleTarget:
        """Return the style as the contract's message."""
        return pb.StyleTarget(
            seed=None if self.seed is None else checked_seed(self.seed, "style.seed"),
            example=None if self.example is None else image_input(self.example, "style.example"),
            clusters={int(instance): int(cluster) for instance, cluster in self.clusters.items()},
        )


ToLike: TypeAlias = str | Change | Mapping[str, float]
"""A domain by name, domains changed together, or the values of domains by name."""


def target_messages(
    to: ToLike | Iterable[ToLike] | None = None,
    direction: str | Sequence[str] | None = None,
    cycle: bool = False,
    style: Style | Sequence[Style] | None = None,
    dropout_seed: int | Sequence[int] | None = None,
) -> list[pb.Target]:
    """Return the targets of a call; none where nothing is said, which means the model's only or first target.

    What is given several times is a target each, and what is given once holds for all of them. Raises InvalidRequest
    where two are given several times and not equally often, or where something is given 0 times.
    """
    given: dict[str, Any] = {"to": to, "direction": direction, "style": style, "dropout_seed": dropout_seed}
    columns = {name: _listed(value) for name, value in given.items()}
    if not cycle and all(column == [None] for column in columns.values()):
        return []
    count = max(map(len, columns.values()))
    for name, column in columns.items():
        if len(column) not in (1, count):
            raise InvalidRequest.of(name, f"{len(column)} are given for {count} targets")
    rows = zip(*(column * (count // len(column)) for column in columns.values()), strict=True)
    return [_target(*row, cycle=cycle) for row in rows]


def _listed(given: Any) -> list[Any]:
    single = given is None or isinstance(given, str | Integral | Change | Style | Mapping)
    return [given] if single else list(given)


def _target(
    to: ToLike | None, direction: str | None, style: Style | None, dropout_seed: int | None, *, cycle: bool
) -> pb.Target:
    return pb.Target(
        domain=None if to is None else _change(to).message(),
        direction=direction or "",
        cycle=cycle,
        style=None if style is None else style.message(),
        dropout_seed=None if dropout_seed is None else checked_seed(dropout_seed, "dropout_seed"),
    )


def _change(to: ToLike) -> Change:
    match to:
        case Change():
            return to
        case str():
            return Change(to)
        case _:
            return Change(values=to)
