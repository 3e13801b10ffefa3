"""Sources to points of a latent space: seeds are drawn, latents checked, recipes followed.

An image's own order: latent -> edits in Z -> mapping -> edits in W -> style mixes -> (in the graph) truncation. A
request's controls count before those of a recipe, also for what the recipe itself starts from or mixes in.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from pellucid.v1 import image_pb2, latent_pb2
from pellucid_gateway import conditions, latents, styles
from pellucid_gateway.conditions import Conditions
from pellucid_gateway.edits import Edit
from pellucid_gateway.errors import InvalidRequest, Refused, Violation, invalid
from pellucid_gateway.latents import Latents
from pellucid_gateway.styles import Leaf, Point, Style, Styles
from pellucid_gateway.versions import ServedVersion

MAX_DEPTH = 4
"""Interpolations and style mixes that a recipe may go through, one inside the other."""

LARGEST_OFFICIAL_SEED = 2**32 - 1
_CONTROLS = 64


@dataclass(frozen=True)
class Mix:
    """Layers whose styles are taken from another."""

    style: Style
    layers: latent_pb2.LayerRange


@dataclass(frozen=True)
class Origin:
    """Where an image starts, what it is made under, what is mixed into it at last, and the recipe for it all."""

    point: Point
    conditions: Conditions
    mixes: tuple[Mix, ...]
    recipe: image_pb2.Recipe

    @property
    def style(self) -> Style:
        """The point behind the mapping, before the mixes."""
        return styles.mapped(self.point, self.conditions)

    @property
    def mixed(self) -> Style:
        """The point behind the mapping, after the mixes."""
        style = self.style
        for mix in self.mixes:
            style = styles.mixed(style, mix.style, mix.layers)
        return style

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """What must be mapped for it: its own, then those of its mixes."""
        return (*self.style.leaves, *(leaf for mix in self.mixes for leaf in mix.style.leaves))


class Sources:
    """Follows sources for one version. Controls are those of the request, as far as it gives them."""

    def __init__(self, served: ServedVersion):
        self._served = served
        self._resolve = lru_cache(_CONTROLS)(self._resolved)

    def follow(self, source: image_pb2.Source, controls: image_pb2.Controls, at: str) -> Origin:
        """Give where the image of a source starts.

        Raises InvalidRequest about `at` for a latent of the wrong length or with numbers that are not finite, and
        Refused for a recipe of another model, other weights, other axes or another sampler.
        """
        match source.WhichOneof("source"):
            case "latent":
                return self._given(source.latent, controls, f"{at}.latent")
            case "recipe":
                return self._replay(source.recipe, controls, f"{at}.recipe")
            case _:
                return self._drawn(source, controls, at)

    def between(
        self, start: Origin, end: Origin, way: image_pb2.Interpolation, controls: image_pb2.Controls, at: str
    ) -> Origin:
        """Give where an image on the way between two others starts. Mixes of the ends are carried out in them."""
        point: Point
        if isinstance(start.point, Style) or isinstance(end.point, Style) or start.mixes or end.mixes:
            if way.path == image_pb2.PATH_SPHERICAL:
                raise invalid(f"{at}.path", "PATH_SPHERICAL is a path in SPACE_Z, and an end lies behind the mapping")
            point = styles.interpolated(start.mixed, end.mixed, way.position)
        else:
            point = latents.interpolate(start.point, end.point, way.position, way.path)
        under = conditions.between(start.conditions, end.conditions, way.position, way.path, at)
        mixes = self._mixes(controls)
        return Origin(point, under, mixes, self._recipe(controls, interpolation=way))

    def _conditions(self, controls: image_pb2.Controls) -> Conditions:
        return self._resolve(controls.SerializeToString(deterministic=True))

    def _resolved(self, controls: bytes) -> Conditions:
        return conditions.resolve(image_pb2.Controls.FromString(controls), self._served, "controls")

    def _drawn(self, source: image_pb2.Source, controls: image_pb2.Controls, at: str) -> Origin:
        prior, seed = self._served.card.latent, source.seed
        under = self._conditions(controls)
        if source.sampler == image_pb2.SAMPLER_OFFICIAL:
            self._check_official(seed, at)
            latent = latents.sample_officially(prior, seed)
        else:
            latent = latents.sample(prior, seed)
        if self._served.card.truncation.scales_prior:
            latent = np.asarray(latent * np.float32(under.truncation))
        if self._served.card.HasField("conditioning") and not under.conditioning.size:
            size = self._served.card.conditioning.size
            under = replace(under, conditioning=latents.draw(seed, latents.CONDITIONING_STREAM, size))
        recipe = self._recipe(controls, seed=seed, sampler=source.sampler)
        return Origin(latent, under, self._mixes(controls), recipe)

    def _given(self, latent: latent_pb2.Latent, controls: image_pb2.Controls, at: str) -> Origin:
        under = self._conditions(controls)
        if self._served.card.HasField("conditioning") and not under.conditioning.size:
            mean = np.zeros(self._served.card.conditioning.size, dtype=np.float32)
            under = replace(under, conditioning=mean)
        mixes = self._mixes(controls)
        return Origin(self._point(latent, at), under, mixes, self._recipe(controls, latent=latent))

    def _point(self, latent: latent_pb2.Latent, at: str) -> Point:
        card, (layers, size) = self._served.card, self._served.chain.style
        if latent.space in (latent_pb2.SPACE_UNSPECIFIED, latent_pb2.SPACE_Z):
            return _checked(latent, self._served.latent_size, card.name, at)
        if not layers:
            raise Refused("SPACE_NOT_SUPPORTED", f"{card.name} takes no {latent_pb2.Space.Name(latent.space)} latents")
        if latent.space == latent_pb2.SPACE_W:
            return styles.given(np.tile(_checked(latent, size, card.name, at), (layers, 1)))
        return styles.given(_checked(latent, layers * size, card.name, at).reshape(layers, size))

    def _replay(self, recipe: image_pb2.Recipe, controls: image_pb2.Controls, at: str) -> Origin:
        self._check_made_here(recipe, at)
        origin = self._start(recipe, conditions.merged(controls, recipe.controls), at)
        for k, applied in enumerate(recipe.edits):
            edit = Edit(applied.edit, self._served, f"{at}.edits[{k}].edit", dict(applied.axis_set_digests))
            origin = replace(origin, point=self._edited(origin, edit, f"{at}.edits[{k}].edit"))
            origin.recipe.edits.append(applied)
        return origin

    def _edited(self, origin: Origin, edit: Edit, at: str) -> Point:
        if not edit.is_behind_mapping and not isinstance(origin.point, Style):
            after, _ = edit.solve(origin.point[None], edit.moves(1))
            return np.asarray(after[0])
        check_order(origin, edit, at)

        def change(style: Styles) -> Styles:
            after, _ = edit.solve(style[None], edit.moves(1))
            return np.asarray(after[0])

        return styles.changed(origin.style, change)

    def _start(self, recipe: image_pb2.Recipe, controls: image_pb2.Controls, at: str) -> Origin:
        match recipe.WhichOneof("origin"):
            case "interpolation":
                way, unmixed = recipe.interpolation, without_mixes(controls)
                start = self.follow(way.start, unmixed, f"{at}.interpolation.start")
                end = self.follow(way.end, unmixed, f"{at}.interpolation.end")
                return self.between(start, end, way, controls, f"{at}.interpolation")
            case "latent":
                return self.follow(image_pb2.Source(latent=recipe.latent), controls, at)
            case _:
                return self.follow(image_pb2.Source(seed=recipe.seed, sampler=recipe.sampler), controls, at)

    def _mixes(self, controls: image_pb2.Controls) -> tuple[Mix, ...]:
        """Follow the sources of style mixes: recipes under their own controls first, the others under the image's."""
        unmixed, count = without_mixes(controls), self._served.card.style_layers.count
        mixes = []
        for k, mix in enumerate(controls.style_mixes):
            at = f"controls.style_mixes[{k}]"
            if not mix.layers.first <= mix.layers.last < count:
                raise invalid(
                    f"{at}.layers",
                    f"{mix.layers.first} to {mix.layers.last}, and the layers are 0 to {count - 1}, first to last",
                )
            under = conditions.merged(mix.source.recipe.controls, unmixed)
            mixes.append(Mix(self.follow(mix.source, under, f"{at}.source").mixed, mix.layers))
        return tuple(mixes)

    def _recipe(self, controls: image_pb2.Controls, **origin: object) -> image_pb2.Recipe:
        recipe = image_pb2.Recipe(
            model=self._served.card.name,
            version=self._served.version.name,
            weights_digest=self._served.version.weights_digest,
            sampler_version=latents.SAMPLER_VERSION,
            **origin,  # type: ignore[arg-type]
        )
        if controls.ListFields():
            recipe.controls.CopyFrom(controls)
        return recipe

    def _check_official(self, seed: int, at: str) -> None:
        card = self._served.card
        if not card.latent.official_sampler:
            raise Refused("SAMPLER_NOT_SUPPORTED", f"the official scripts of {card.name} turn no seeds into latents")
        if seed > LARGEST_OFFICIAL_SEED:
            raise invalid(f"{at}.seed", f"{seed}, and official seeds end at {LARGEST_OFFICIAL_SEED}")

    def _check_made_here(self, recipe: image_pb2.Recipe, at: str) -> None:
        served = self._served
        if recipe.model != served.card.name:
            raise Refused("WRONG_MODEL", f"{at} is of {recipe.model}, and the request is for {served.card.name}")
        if recipe.weights_digest and recipe.weights_digest != served.version.weights_digest:
            raise Refused(
                "WEIGHTS_DIFFER",
                f"{at} was made with the weights {recipe.weights_digest}, "
                f"and version {served.version.name} of {recipe.model} has {served.version.weights_digest}",
            )
        if recipe.sampler_version not in (0, latents.SAMPLER_VERSION):
            raise Refused(
                "SAMPLER_DIFFERS",
                f"{at} was made with sampler {recipe.sampler_version}, not {latents.SAMPLER_VERSION}",
            )


def check_order(origin: Origin, edit: Edit, at: str) -> None:
    """Refuse to move an image in Z that lies behind the mapping."""
    if edit and not edit.is_behind_mapping and isinstance(origin.point, Style):
        raise invalid(
            at, "its axes lie in SPACE_Z, and the image lies behind the mapping, from which no way leads back"
        )


def without_mixes(controls: image_pb2.Controls) -> image_pb2.Controls:
    """Give controls without their style mixes, which are an image's last, for what it is made of."""
    if not controls.style_mixes:
        return controls
    unmixed = image_pb2.Controls()
    unmixed.CopyFrom(controls)
    unmixed.ClearField("style_mixes")
    return unmixed


def nesting(source: image_pb2.Source) -> int:
    """Count the interpolations and mixes that a source goes through, one inside the other; at most MAX_DEPTH + 1."""
    depth, layer = 0, [source]
    while depth <= MAX_DEPTH:
        layer = [inner for one in layer for inner in _inside(one)]
        if not layer:
            return depth
        depth += 1
    return depth


def edits_in(source: image_pb2.Source) -> int:
    """Count the edit sets that must be solved to follow a source whose `nesting` is within MAX_DEPTH."""
    return len(source.recipe.edits) + sum(edits_in(inner) for inner in _inside(source))


def _inside(source: image_pb2.Source) -> Iterator[image_pb2.Source]:
    """Give the sources that must be followed for a source."""
    if not source.HasField("recipe"):
        return
    if source.recipe.HasField("interpolation"):
        yield source.recipe.interpolation.start
        yield source.recipe.interpolation.end
    for mix in source.recipe.controls.style_mixes:
        yield mix.source


def _checked(latent: latent_pb2.Latent, size: int, model: str, at: str) -> Latents:
    values = np.array(latent.values, dtype=np.float32)
    if values.size != size:
        raise invalid(f"{at}.values", f"{values.size} numbers, and {model} takes {size}")
    unfit = np.flatnonzero(~np.isfinite(values))
    if unfit.size:
        raise InvalidRequest([Violation(f"{at}.values[{k}]", f"{values[k]} is not finite") for k in unfit[:10]])
    return values
