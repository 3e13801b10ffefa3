"""What is served: cards read from Triton, versions and axes from the repository.

    refresh: Triton's index -> the card in a model's config -> each version's version.json and axes/ -> a new snapshot

A refresh replaces the whole snapshot at once, so a request sees one state from start to end. A model with an unreadable
card is listed as unavailable with the reason.
"""

import asyncio
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import structlog
from google.protobuf import json_format
from upath import UPath

from pellucid.v1 import latent_pb2, model_pb2, translation_pb2
from pellucid_gateway import axis_sets, traffic
from pellucid_gateway.axis_sets import AxisTable
from pellucid_gateway.backends.base import Backend, ModelConfig, Served
from pellucid_gateway.chain import IMAGE, Chain, chain_of
from pellucid_gateway.errors import (
    BackendUnreachable,
    GatewayError,
    ModelUnavailable,
    NotFound,
    PermissionDenied,
    Refused,
)
from pellucid_gateway.identity.caller import current
from pellucid_gateway.manifest import Manifest, Verdict

CARD_PARAMETER = "pellucid.card"
CONFIG_FILE = "config.pbtxt"
VERSION_FILE = "version.json"

NAME = re.compile("[a-z0-9][a-z0-9_.-]{0,62}")
SMALLEST_BOUND = 0.1
"""Below it, drawing a truncated normal by rejection takes too long."""

Clusters = Mapping[int, np.ndarray]

_log = structlog.get_logger()


@dataclass(frozen=True)
class ServedVersion:
    """A version that answers: its card and stages (shared by all versions), what version.json says, and its axes.

    `classes` and `vocabulary` are the numbers of class names, in lower case, and of the words of captions; `clusters`
    are the features (clusters, size) that instances of a label may have.
    """

    card: model_pb2.Model
    version: model_pb2.Version
    axes: AxisTable
    chain: Chain
    classes: Mapping[str, int]
    vocabulary: Mapping[str, int]
    clusters: Clusters

    @property
    def latent_size(self) -> int:
        """Numbers in a latent of the prior's space."""
        return self.card.latent.size


@dataclass(frozen=True)
class Entry:
    """A model with the versions that answer, by name, the newest last; `broken` where only a person can mend it."""

    card: model_pb2.Model
    versions: Mapping[str, ServedVersion] = field(default_factory=dict)
    broken: bool = False


class Catalog:
    """The models behind one backend and one repository."""

    def __init__(self, backend: Backend, repository: str, manifest: Manifest | None = None):
        self._backend = backend
        self._repository = UPath(repository)
        self._entries: dict[str, Entry] = {}
        self._seen: dict[str, tuple[object, Entry]] = {}
        self._manifest = manifest
        self._verdicts: dict[str, Verdict] = {}
        self._looking = asyncio.Lock()
        self.reachable = False

    @property
    def entries(self) -> Mapping[str, Entry]:
        """All models by name (`models/{model}`), the unavailable too."""
        return self._entries

    @property
    def permitted(self) -> Mapping[str, Entry]:
        """The models that the current caller may use, by name."""
        may_use = current.get().may_use
        return {name: entry for name, entry in self._entries.items() if may_use(name)}

    def find(self, name: str) -> Entry:
        """Find a model, available or not. Raises NotFound.

        Raises PermissionDenied where the current caller may not use a model of this name, be there one or not.
        """
        caller = current.get()
        if not caller.may_use(name):
            raise PermissionDenied(f"{caller.name} may not use {name}")
        if name not in self._entries:
            if not self.reachable:
                raise BackendUnreachable("Triton cannot be reached, and its models are not known")
            raise NotFound("model", name, list(self.permitted))
        return self._entries[name]

    def serving(self, name: str, version: str = "", request_id: str = "") -> ServedVersion:
        """Find a version that answers; where none is named, the one that weights give the request, or the default one.

        Raises NotFound, ModelUnavailable where it may come back by itself, and Refused where the model is broken.
        """
        entry = self.find(name)
        if entry.broken:
            raise Refused("MODEL_BROKEN", f"{name} cannot be served: {entry.card.state_reason}")
        if entry.card.state != model_pb2.STATE_AVAILABLE:
            raise ModelUnavailable(name, entry.card.state_reason)
        if not version and request_id and entry.card.version_weights:
            version = traffic.choose(entry.card.version_weights, entry.versions, request_id)
        chosen = version or entry.card.default_version
        if chosen not in entry.versions:
            raise NotFound(f"version of {name}", chosen, list(entry.versions))
        return entry.versions[chosen]

    async def reload(self, name: str) -> None:
        """Have the backend load what the folders of a model and its stages hold now.

        Raises NotFound and ModelUnavailable.
        """
        model = self.find(name).card.name.removeprefix("models/")
        await self._backend.load(model)
        await self.refresh()
        for stage in self.find(name).card.stages:
            if stage.model != model:
                await self._backend.load(stage.model)
        await self.refresh()

    async def weigh(self, name: str, weights: traffic.Weights) -> None:
        """Share out a model's requests that name no version. Raises NotFound where a version does not serve."""
        entry = self.find(name)
        for version in weights:
            if version not in entry.versions:
                raise NotFound(f"version of {name}", version, list(entry.versions))
        await asyncio.to_thread(traffic.write, self._repository, name.removeprefix("models/"), weights)
        await self.refresh()

    async def refresh(self) -> None:
        """Look again. Where the backend does not answer, the models are kept and their state says so."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        try:
            served = await self._backend.served()
        except GatewayError as error:
            self._lose(str(error))
            return
        self.reachable = True
        by_model: dict[str, list[Served]] = {}
        for one in served:
            by_model.setdefault(one.model, []).append(one)
        stray = await asyncio.to_thread(self._stray, list(by_model))
        names = sorted(by_model.keys() - stray)
        if self._manifest:
            self._verdicts = await asyncio.to_thread(self._manifest.check, names)
        entries = [await self._entry(model, by_model) for model in names]
        self._entries = {entry.card.name: entry for entry in entries if entry}
        self._seen = {model: seen for model, seen in self._seen.items() if model in names}

    async def watch(self, interval_s: float, after: Callable[[], None]) -> None:
        """Refresh every `interval_s` seconds until cancelled, and call `after` each time."""
        while True:
            await asyncio.sleep(interval_s)
            await self.refresh()
            after()

    def _lose(self, reason: str) -> None:
        if self.reachable:
            _log.warning("backend lost", reason=reason)
        self.reachable = False
        self._seen.clear()
        self._entries = {
            name: Entry(_unavailable(entry.card, reason), entry.versions) for name, entry in self._entries.items()
        }

    def _stray(self, models: list[str]) -> set[str]:
        """Triton's index lists every directory of the repository; those without a configuration are no models."""
        return {model for model in models if not (self._repository / model / CONFIG_FILE).exists()}

    async def _entry(self, model: str, by_model: Mapping[str, list[Served]]) -> Entry | None:
        """Read a model, or take what was read before where nothing has changed since. One model's fault is its own."""
        try:
            verdicts = tuple(self._verdicts.items())
            stamp = (tuple(map(tuple, by_model.values())), verdicts, await asyncio.to_thread(self._stamp, model))
            if model in self._seen and self._seen[model][0] == stamp:
                return self._seen[model][1]
            entry = await self._read(model, by_model)
        except Exception as error:
            _log.error("unreadable model", model=model, reason=str(error))
            broken = not isinstance(error, GatewayError)
            card = model_pb2.Model(name=f"models/{model}")
            reason = f"unreadable card or version: {error}" if broken else str(error)
            return Entry(_unavailable(card, reason), {}, broken)
        if entry is not None and entry.card.state == model_pb2.STATE_AVAILABLE:
            self._seen[model] = (stamp, entry)
        return entry

    def _stamp(self, model: str) -> tuple[object, ...]:
        """What tells a change of a model's files: configuration, versions and axes, with their sizes and times."""
        folder = self._repository / model
        files = [folder / CONFIG_FILE, *folder.glob(f"*/{VERSION_FILE}"), *folder.glob("*/axes/*.safetensors")]
        weights = traffic.place(self._repository, model)
        files += [weights] if weights.exists() else []
        stats = [(str(file), file.stat()) for file in sorted(files, key=str)]
        return tuple((name, stat.st_size, stat.st_mtime) for name, stat in stats)

    async def _read(self, model: str, by_model: Mapping[str, list[Served]]) -> Entry | None:
        served = by_model[model]
        if not any(one.ready for one in served):
            reasons = {one.reason for one in served if one.reason} or {"not loaded"}
            return Entry(_unavailable(model_pb2.Model(name=f"models/{model}"), "; ".join(sorted(reasons))))
        config = await self._backend.config(model)
        if CARD_PARAMETER not in config.parameters:
            return None  # a stage of another model, or none of ours
        card = _card(model, config)
        stages = [stage.model for stage in card.stages]
        if fault := next(filter(None, map(self._fault, (model, *stages))), ""):
            _log.error("model not as signed", model=model, reason=fault)
            return Entry(_unavailable(model_pb2.Model(name=card.name), fault), {}, broken=True)
        ready = _ready_together([by_model.get(stage, []) for stage in stages])
        if not ready:
            return Entry(_unavailable(card, f"no version of all of its stages ({', '.join(stages)}) is ready"))
        configs = [await self._backend.config(stage) for stage in stages]
        chain = chain_of(card, configs)
        _check_sizes(card, chain)
        card.max_batch_size = min(one.max_batch_size for one in configs)
        versions, served = await self._versions(card, chain, ready, served)
        card.version_weights.update(await asyncio.to_thread(traffic.read, self._repository, model))
        card.default_version = _default(card, {version: ready[version] for version in versions})
        return _complete(card, versions, served)

    def _fault(self, model: str) -> str:
        return self._verdicts[model].fault if model in self._verdicts else ""

    async def _versions(
        self, card: model_pb2.Model, chain: Chain, ready: Collection[str], served: list[Served]
    ) -> tuple[dict[str, ServedVersion], list[Served]]:
        """Read versions' files. One that cannot be read does not serve, as long as another does."""
        versions: dict[str, ServedVersion] = {}
        faults: dict[str, Exception] = {}
        for version in ready:
            try:
                versions[version] = await asyncio.to_thread(self._version, card, chain, version)
            except (OSError, ValueError, json_format.ParseError) as error:
                _log.error("unreadable version", model=card.name, version=version, reason=str(error))
                faults[version] = error
        if not versions:
            raise faults[max(faults, key=int)]
        return versions, [
            replace(one, ready=False, reason=f"unreadable version: {faults[one.version]}")
            if one.version in faults
            else one
            for one in served
        ]

    def _version(self, card: model_pb2.Model, chain: Chain, version: str) -> ServedVersion:
        folder = self._repository / card.name.removeprefix("models/") / version
        told = json_format.Parse((folder / VERSION_FILE).read_text(), model_pb2.Version(), ignore_unknown_fields=True)
        told.name, told.state = version, model_pb2.STATE_AVAILABLE
        verdict = self._verdicts.get(card.name.removeprefix("models/"), Verdict())
        unsigned = {path.rpartition("/")[2] for path in verdict.unsigned_axes if f"/{version}/axes/" in path}
        axes = axis_sets.read(folder / "axes", card.name, told.weights_digest, _sizes(card, chain), unsigned)
        for name, reason in axes.refused.items():
            _log.error("axes refused", model=card.name, version=version, axis=name, reason=reason)
        classes = {class_name.casefold(): k for k, class_name in enumerate(card.classes.names)}
        clusters = _clusters(folder, card.translation.features)
        return ServedVersion(card, told, axes, chain, classes, _vocabulary(folder, card.caption), clusters)


def _vocabulary(folder: UPath, caption: model_pb2.CaptionInput) -> Mapping[str, int]:
    if not caption.vocabulary_asset:
        return {}
    words = json.loads((folder / caption.vocabulary_asset).read_text(encoding="utf-8"))
    if not isinstance(words, dict) or not all(isinstance(number, int) and number > 0 for number in words.values()):
        raise ValueError(f"{caption.vocabulary_asset} must be an object from words to numbers above 0")
    return words


def _clusters(folder: UPath, features: translation_pb2.FeatureInput) -> Clusters:
    if not features.clusters_asset:
        return {}
    told = json.loads((folder / features.clusters_asset).read_text(encoding="utf-8"))
    clusters = {int(label): np.array(rows, dtype=np.float32) for label, rows in told.items()}
    for label, rows in clusters.items():
        if rows.ndim != 2 or rows.shape[1] != features.size or not len(rows) or not np.isfinite(rows).all():
            raise ValueError(f"{features.clusters_asset}: label {label} has clusters of shape {rows.shape}")
    return clusters


def _card(model: str, config: ModelConfig) -> model_pb2.Model:
    card = json_format.Parse(config.parameters[CARD_PARAMETER], model_pb2.Model(), ignore_unknown_fields=True)
    card.name = f"models/{model}"
    if not NAME.fullmatch(model):
        raise ValueError(f"the name {model!r} does not match {NAME.pattern}")
    if card.height <= 0 or card.width <= 0:
        raise ValueError(f"height {card.height} and width {card.width} must be above 0")
    if card.HasField("classes"):
        card.classes.count = len(card.classes.names)
    if not card.stages:
        raise ValueError("the card has no stages")
    if card.task in (model_pb2.TASK_GENERATE, model_pb2.TASK_CAPTION_TO_IMAGE):
        _check_prior(card.latent)
    return card


def _check_prior(prior: model_pb2.LatentPrior) -> None:
    if prior.size <= 0:
        raise ValueError(f"latent.size {prior.size} must be above 0")
    if prior.prior == model_pb2.PRIOR_TRUNCATED_NORMAL and not prior.truncation_bound >= SMALLEST_BOUND:
        raise ValueError(f"latent.truncation_bound {prior.truncation_bound} must be at least {SMALLEST_BOUND}")


def _sizes(card: model_pb2.Model, chain: Chain) -> axis_sets.Sizes:
    sizes = {latent_pb2.SPACE_Z: (card.latent.size, 0)}
    layers, size = chain.style
    if layers:
        sizes |= {latent_pb2.SPACE_W: (size, layers), latent_pb2.SPACE_W_PLUS: (layers * size, 0)}
    return sizes


def _check_sizes(card: model_pb2.Model, chain: Chain) -> None:
    """What the card says of a tensor must be what its model takes."""
    said = {
        "latent": card.latent.size,
        "label": len(card.classes.names),
        "condition": card.condition.size,
        "conditioning_noise": card.conditioning.size,
        "noise": card.noise.size,
        "tokens": card.caption.max_tokens,
        "domain": card.translation.domains.size,
        "dropout": card.translation.dropout.size,
    }
    for name, size in said.items():
        if name in chain.brought and chain.brought[name].shape != (size,):
            raise ValueError(f"tensor {name!r} has the shape {chain.brought[name].shape}, and the card says {size}")
    images = ((card.height, card.width, 3), (-1, -1, 3))
    for tensors in (chain.brought, chain.given):
        if IMAGE in tensors and tensors[IMAGE].shape not in images:
            raise ValueError(f"tensor 'image' has the shape {tensors[IMAGE].shape}, and the card says {images[0]}")


def _ready_together(stages: Sequence[Sequence[Served]]) -> dict[str, float]:
    """Give the versions that are ready in every stage, and the least share of replicas that have one of it ready.

    A version has the same number in all stages.
    """
    shares = [{one.version: one.share for one in served if one.ready} for served in stages]
    together = sorted(set.intersection(*map(set, shares)), key=int) if shares else []
    return {version: min(share[version] for share in shares) for version in together}


def _default(card: model_pb2.Model, ready: Mapping[str, float]) -> str:
    """Choose the version of requests that name none: the heaviest; without weights, the newest that most replicas have.

    A new version takes over when it is loaded everywhere, so that it does not fall upon the first replica alone.
    """
    heaviest = traffic.heaviest(card.version_weights, ready)
    return heaviest or max(ready, key=lambda version: (ready[version], int(version)))


def _complete(card: model_pb2.Model, versions: dict[str, ServedVersion], served: list[Served]) -> Entry:
    card.state = model_pb2.STATE_AVAILABLE
    card.versions.extend(version.version for version in versions.values())
    failed = [one for one in served if not one.ready and one.version not in ("", *versions)]
    for one in sorted(failed, key=lambda one: one.version):
        card.versions.add(name=one.version, state=model_pb2.STATE_UNAVAILABLE, state_reason=one.reason)
    card.axes.extend(f"{card.name}/axes/{name}" for name in versions[card.default_version].axes.newest)
    return Entry(card, versions)


def _unavailable(card: model_pb2.Model, reason: str) -> model_pb2.Model:
    copy = model_pb2.Model()
    copy.CopyFrom(card)
    copy.state, copy.state_reason = model_pb2.STATE_UNAVAILABLE, reason
    return copy
