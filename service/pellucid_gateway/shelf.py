"""What the backend and the repository hold, model by model: cards, versions, axes, weights."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog
from google.protobuf import json_format
from upath import UPath

from pellucid.v1 import model_pb2
from pellucid_gateway import cards, traffic, versions
from pellucid_gateway.backends.base import Backend, Served
from pellucid_gateway.chain import Chain, chain_of
from pellucid_gateway.errors import GatewayError
from pellucid_gateway.manifest import Manifest, Verdict
from pellucid_gateway.versions import ServedVersion

CONFIG_FILE = "config.pbtxt"

_log = structlog.get_logger()


@dataclass(frozen=True)
class Entry:
    """A model with the versions that answer, by name, the newest last; `broken` where only a person can mend it."""

    card: model_pb2.Model
    versions: Mapping[str, ServedVersion] = field(default_factory=dict)
    broken: bool = False


class Shelf:
    """Reads models, and remembers those that have not changed since."""

    def __init__(self, backend: Backend, repository: UPath, manifest: Manifest | None):
        self._backend = backend
        self._repository = repository
        self._manifest = manifest
        self._verdicts: dict[str, Verdict] = {}
        self._seen: dict[str, tuple[object, Entry]] = {}

    async def entries(self) -> dict[str, Entry]:
        """Read all models by name (`models/{model}`). Raises what the backend raises where it does not answer."""
        by_model: dict[str, list[Served]] = {}
        for one in await self._backend.served():
            by_model.setdefault(one.model, []).append(one)
        stray = await asyncio.to_thread(self._stray, list(by_model))
        names = sorted(by_model.keys() - stray)
        if self._manifest:
            self._verdicts = await asyncio.to_thread(self._manifest.check, names)
        entries = [await self._entry(model, by_model) for model in names]
        self._seen = {model: seen for model, seen in self._seen.items() if model in names}
        return {entry.card.name: entry for entry in entries if entry}

    def forget(self) -> None:
        """Read everything anew the next time."""
        self._seen.clear()

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
            return Entry(unavailable(card, reason), {}, broken)
        if entry is not None and entry.card.state == model_pb2.STATE_AVAILABLE:
            self._seen[model] = (stamp, entry)
        return entry

    def _stamp(self, model: str) -> tuple[object, ...]:
        """What tells a change of a model's files: configuration, versions and axes, with their sizes and times."""
        folder = self._repository / model
        files = [folder / CONFIG_FILE, *folder.glob(f"*/{versions.VERSION_FILE}"), *folder.glob("*/axes/*.safetensors")]
        weights = traffic.place(self._repository, model)
        files += [weights] if weights.exists() else []
        stats = [(str(file), file.stat()) for file in sorted(files, key=str)]
        return tuple((name, stat.st_size, stat.st_mtime) for name, stat in stats)

    async def _read(self, model: str, by_model: Mapping[str, list[Served]]) -> Entry | None:
        served = by_model[model]
        if not any(one.ready for one in served):
            reasons = {one.reason for one in served if one.reason} or {"not loaded"}
            return Entry(unavailable(model_pb2.Model(name=f"models/{model}"), "; ".join(sorted(reasons))))
        config = await self._backend.config(model)
        if cards.CARD_PARAMETER not in config.parameters:
            return None  # a stage of another model, or none of ours
        card = cards.read(model, config)
        stages = [stage.model for stage in card.stages]
        if fault := next(filter(None, map(self._fault, (model, *stages))), ""):
            _log.error("model not as signed", model=model, reason=fault)
            return Entry(unavailable(model_pb2.Model(name=card.name), fault), {}, broken=True)
        ready = _ready_together([by_model.get(stage, []) for stage in stages])
        if not ready:
            return Entry(unavailable(card, f"no version of all of its stages ({', '.join(stages)}) is ready"))
        configs = [await self._backend.config(stage) for stage in stages]
        chain = chain_of(card, configs)
        cards.check_sizes(card, chain)
        card.max_batch_size = min(one.max_batch_size for one in configs)
        readable, served = await self._versions(card, chain, ready, served)
        card.version_weights.update(await asyncio.to_thread(traffic.read, self._repository, model))
        card.default_version = _default(card, {version: ready[version] for version in readable})
        return _complete(card, readable, served)

    def _fault(self, model: str) -> str:
        return self._verdicts[model].fault if model in self._verdicts else ""

    async def _versions(
        self, card: model_pb2.Model, chain: Chain, ready: Collection[str], served: list[Served]
    ) -> tuple[dict[str, ServedVersion], list[Served]]:
        """Read versions' files. One that cannot be read does not serve, as long as another does."""
        readable: dict[str, ServedVersion] = {}
        faults: dict[str, Exception] = {}
        for version in ready:
            try:
                readable[version] = await asyncio.to_thread(self._version, card, chain, version)
            except (OSError, ValueError, json_format.ParseError) as error:
                _log.error("unreadable version", model=card.name, version=version, reason=str(error))
                faults[version] = error
        if not readable:
            raise faults[max(faults, key=int)]
        return readable, [
            replace(one, ready=False, reason=f"unreadable version: {faults[one.version]}")
            if one.version in faults
            else one
            for one in served
        ]

    def _version(self, card: model_pb2.Model, chain: Chain, version: str) -> ServedVersion:
        model = card.name.removeprefix("models/")
        verdict = self._verdicts.get(model, Verdict())
        unsigned = {path.rpartition("/")[2] for path in verdict.unsigned_axes if f"/{version}/axes/" in path}
        return versions.read(self._repository / model / version, card, chain, unsigned)


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


def unavailable(card: model_pb2.Model, reason: str) -> model_pb2.Model:
    """Give a card that says why the model cannot serve."""
    copy = model_pb2.Model()
    copy.CopyFrom(card)
    copy.state, copy.state_reason = model_pb2.STATE_UNAVAILABLE, reason
    return copy
