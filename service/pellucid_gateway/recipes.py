"""Sources to latents: seeds are drawn, latents checked, recipes followed."""

from dataclasses import dataclass, field

import numpy as np

from pellucid.v1 import image_pb2, latent_pb2
from pellucid_gateway import axes, latents
from pellucid_gateway.axes import Direction, Move, Unit
from pellucid_gateway.axis_sets import AxisTable
from pellucid_gateway.catalog import ServedVersion
from pellucid_gateway.errors import InvalidRequest, Refused, Violation, invalid
from pellucid_gateway.jobs import check_controls, check_edit
from pellucid_gateway.latents import Latents

MAX_DEPTH = 4
"""Interpolations that a recipe may go through, one inside the other."""


@dataclass(frozen=True)
class Origin:
    """Where an image starts: its latent (D,) and the recipe that gives it."""

    latent: Latents
    recipe: image_pb2.Recipe = field(default_factory=image_pb2.Recipe)


def follow(source: image_pb2.Source, served: ServedVersion, field: str) -> Origin:
    """Give the latent of a source, and a recipe for it.

    Raises InvalidRequest about `field` for a latent of the wrong length or with numbers that are not finite, and
    Refused for a recipe of another model, other weights, other axes or another sampler.
    """
    match source.WhichOneof("source"):
        case "latent":
            return Origin(_checked(source.latent, served, f"{field}.latent"), _recipe(served, latent=source.latent))
        case "recipe":
            return _replay(source.recipe, served, f"{field}.recipe")
        case _:
            return Origin(latents.sample(served.card.latent, source.seed), _recipe(served, seed=source.seed))


def between(
    start: image_pb2.Source,
    end: image_pb2.Source,
    ends: tuple[Latents, Latents],
    at: float,
    path: "image_pb2.Path.ValueType",
    served: ServedVersion,
) -> Origin:
    """Give the latent at the position `at` of the way between two sources whose latents are `ends`."""
    way = image_pb2.Interpolation(start=start, end=end, position=at, path=path)
    return Origin(latents.interpolate(*ends, at, path), _recipe(served, interpolation=way))


def moved(latents: Latents, delta: axes.Float64s, field: str) -> Latents:
    """Apply a change to latents (..., D). Raises InvalidRequest where it takes them beyond all numbers."""
    with np.errstate(over="ignore"):
        result = (latents + delta).astype(np.float32)
    if not np.isfinite(result).all():
        raise invalid(field, "the edit moves the latent beyond all numbers")
    return result


def nesting(source: image_pb2.Source) -> int:
    """Count the interpolations that a source goes through, one inside the other; at most one more than MAX_DEPTH."""
    depth, layer = 0, [source]
    while depth <= MAX_DEPTH:
        ways = [s.recipe.interpolation for s in layer if s.recipe.HasField("interpolation")]
        if not ways:
            return depth
        depth, layer = depth + 1, [end for way in ways for end in (way.start, way.end)]
    return depth


def edits_in(source: image_pb2.Source) -> int:
    """Count the edit sets that must be solved to follow a source whose `nesting` is within MAX_DEPTH."""
    if not source.HasField("recipe"):
        return 0
    way = source.recipe.interpolation
    ends = edits_in(way.start) + edits_in(way.end) if source.recipe.HasField("interpolation") else 0
    return len(source.recipe.edits) + ends


def moves_of(edit: image_pb2.EditSet, table: AxisTable, rows: int, field: str, digests: dict[str, str]) -> list[Move]:
    """Resolve the moves of an edit set, each by the same amount in all rows."""
    moves = []
    for k, move in enumerate(edit.moves):
        unit = Unit(move.WhichOneof("amount"))
        name = f"{field}.moves[{k}]"
        direction = find(table, move.axis, f"{name}.axis", digests)
        moves.append(Move(direction, unit, np.full(rows, getattr(move, unit.value)), name))
    return moves


def locks_of(edit: image_pb2.EditSet, table: AxisTable, field: str, digests: dict[str, str]) -> list[Direction]:
    """Resolve the locks of an edit set."""
    return [find(table, name, f"{field}.locks[{k}]", digests) for k, name in enumerate(edit.locks)]


def find(table: AxisTable, name: str, field: str, digests: dict[str, str]) -> Direction:
    """Find an axis, in the set that `digests` names for it if it does; must be one that the prior's latent can take."""
    direction = table.find(name, digests.get(name, ""))
    if direction.axis.space not in (latent_pb2.SPACE_UNSPECIFIED, latent_pb2.SPACE_Z):
        raise Refused(
            "SPACE_NOT_SUPPORTED",
            f"{field}: axis {name!r} lies in {latent_pb2.Space.Name(direction.axis.space)}",
        )
    return direction


def _replay(recipe: image_pb2.Recipe, served: ServedVersion, field: str) -> Origin:
    _check_made_here(recipe, served, field)
    check_controls(served.card, recipe.controls)
    origin = _origin(recipe, served, field)
    latent = origin.latent
    for k, applied in enumerate(recipe.edits):
        name = f"{field}.edits[{k}].edit"
        digests = dict(applied.axis_set_digests)
        check_edit(applied.edit, None, name)
        change = axes.solve(
            latent[None],
            moves_of(applied.edit, served.axes, 1, name, digests),
            locks_of(applied.edit, served.axes, name, digests),
        )
        latent = moved(latent, change.delta[0], name)
        origin.recipe.edits.append(applied)
    return Origin(latent, origin.recipe)


def _origin(recipe: image_pb2.Recipe, served: ServedVersion, field: str) -> Origin:
    match recipe.WhichOneof("origin"):
        case "interpolation":
            way = recipe.interpolation
            ends = (
                follow(way.start, served, f"{field}.interpolation.start").latent,
                follow(way.end, served, f"{field}.interpolation.end").latent,
            )
            return between(way.start, way.end, ends, way.position, way.path, served)
        case "latent":
            return follow(image_pb2.Source(latent=recipe.latent), served, field)
        case _:
            return follow(image_pb2.Source(seed=recipe.seed), served, field)


def _recipe(served: ServedVersion, **origin: object) -> image_pb2.Recipe:
    return image_pb2.Recipe(
        model=served.card.name,
        version=served.version.name,
        weights_digest=served.version.weights_digest,
        sampler_version=latents.SAMPLER_VERSION,
        **origin,  # type: ignore[arg-type]
    )


def _check_made_here(recipe: image_pb2.Recipe, served: ServedVersion, field: str) -> None:
    if recipe.model != served.card.name:
        raise Refused("WRONG_MODEL", f"{field} is of {recipe.model}, and the request is for {served.card.name}")
    if recipe.weights_digest and recipe.weights_digest != served.version.weights_digest:
        raise Refused(
            "WEIGHTS_DIFFER",
            f"{field} was made with the weights {recipe.weights_digest}, "
            f"and version {served.version.name} of {recipe.model} has {served.version.weights_digest}",
        )
    if recipe.sampler_version not in (0, latents.SAMPLER_VERSION):
        raise Refused(
            "SAMPLER_DIFFERS",
            f"{field} was made with sampler {recipe.sampler_version}, not {latents.SAMPLER_VERSION}",
        )


def _checked(latent: latent_pb2.Latent, served: ServedVersion, field: str) -> Latents:
    if latent.space not in (latent_pb2.SPACE_UNSPECIFIED, latent_pb2.SPACE_Z):
        raise Refused(
            "SPACE_NOT_SUPPORTED",
            f"{served.card.name} takes no {latent_pb2.Space.Name(latent.space)} latents",
        )
    values = np.array(latent.values, dtype=np.float32)
    if values.size != served.latent_size:
        raise invalid(f"{field}.values", f"{values.size} numbers, and {served.card.name} takes {served.latent_size}")
    unfit = np.flatnonzero(~np.isfinite(values))
    if unfit.size:
        raise InvalidRequest([Violation(f"{field}.values[{k}]", f"{values[k]} is not finite") for k in unfit[:10]])
    return values
