"""What is served: cards read from Triton, versions and axes from the repository.

    refresh: Triton's index -> the card in a model's config -> each version's version.json and axes/ -> a new snapshot

A refresh replaces the whole snapshot at once, so a request sees one state from start to end. A model with an unreadable
card is listed as unavailable with the reason.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog
from google.protobuf import json_format
from upath import UPath

from pellucid.v1 import model_pb2
from pellucid_gateway import axis_sets
from pellucid_gateway.axis_sets import AxisTable
from pellucid_gateway.backends.base import Backend, ModelConfig, Served
from pellucid_gateway.errors import BackendUnreachable, GatewayError, ModelUnavailable, NotFound

CARD_PARAMETER = "pellucid.card"
CONFIG_FILE = "config.pbtxt"
VERSION_FILE = "version.json"
FIRST_TENSORS = frozenset({"latent", "image"})
"""Tensors that a request brings; all others must come from an earlier stage."""

_log = structlog.get_logger()


@dataclass(frozen=True)
class ServedVersion:
    """A version that answers: its card (shared by all versions), what version.json says, and its axes."""

    card: model_pb2.Model
    version: model_pb2.Version
    axes: AxisTable

    @property
    def latent_size(self) -> int:
        """Numbers in a latent of the prior's space."""
        return self.card.latent.size


@dataclass(frozen=True)
class Entry:
    """A model with the versions that answer, by name, the newest last."""

    card: model_pb2.Model
    versions: Mapping[str, ServedVersion] = field(default_factory=dict)


class Catalog:
    """The models behind one backend and one repository."""

    def __init__(self, backend: Backend, repository: str):
        self._backend = backend
        self._repository = UPath(repository)
        self._entries: dict[str, Entry] = {}
        self._seen: dict[str, tuple[object, Entry]] = {}
        self.reachable = False

    @property
    def entries(self) -> Mapping[str, Entry]:
        """All models by name (`models/{model}`), the unavailable too."""
        return self._entries

    def find(self, name: str) -> Entry:
        """Find a model, available or not. Raises NotFound."""
        if name not in self._entries:
            if not self.reachable:
                raise BackendUnreachable("Triton cannot be reached, and its models are not known")
            raise NotFound("model", name, list(self._entries))
        return self._entries[name]

    def serving(self, name: str, version: str = "") -> ServedVersion:
        """Find a version that answers; the default one where none is named. Raises NotFound or ModelUnavailable."""
        entry = self.find(name)
        if entry.card.state != model_pb2.STATE_AVAILABLE:
            raise ModelUnavailable(name, entry.card.state_reason)
        chosen = version or entry.card.default_version
        if chosen not in entry.versions:
            raise NotFound(f"version of {name}", chosen, list(entry.versions))
        return entry.versions[chosen]

    async def refresh(self) -> None:
        """Look again. Where Triton does not answer, the models are kept and their state says so."""
        try:
            served = await self._backend.served()
        except BackendUnreachable as error:
            self._lose(str(error))
            return
        self.reachable = True
        by_model: dict[str, list[Served]] = {}
        for one in served:
            by_model.setdefault(one.model, []).append(one)
        stray = await asyncio.to_thread(self._stray, list(by_model))
        entries = [await self._entry(model, by_model[model]) for model in sorted(by_model.keys() - stray)]
        self._entries = {entry.card.name: entry for entry in entries if entry}

    async def watch(self, interval_s: float, after: Callable[[], Awaitable[None]]) -> None:
        """Refresh every `interval_s` seconds until cancelled, and call `after` each time."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                await self.refresh()
                await after()
            except Exception:
                _log.exception("catalog refresh failed")

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

    async def _entry(self, model: str, served: list[Served]) -> Entry | None:
        """Read a model, or take what was read before where neither Triton's index nor its files have changed."""
        stamp = (tuple(served), await asyncio.to_thread(self._stamp, model))
        seen = self._seen.get(model)
        if seen and seen[0] == stamp:
            return seen[1]
        entry = await self._read(model, served)
        if entry is not None:
            self._seen[model] = (stamp, entry)
        return entry

    def _stamp(self, model: str) -> tuple[object, ...]:
        files = sorted((self._repository / model).glob("*/axes/*.safetensors"))
        return tuple((str(file), file.stat().st_size, file.stat().st_mtime) for file in files)

    async def _read(self, model: str, served: list[Served]) -> Entry | None:
        ready = sorted((one.version for one in served if one.ready), key=int)
        card = model_pb2.Model(name=f"models/{model}")
        if not ready:
            reasons = {one.reason for one in served if one.reason} or {"not loaded"}
            return Entry(_unavailable(card, "; ".join(sorted(reasons))))
        try:
            config = await self._backend.config(model)
        except GatewayError as error:
            return Entry(_unavailable(card, str(error)))
        if CARD_PARAMETER not in config.parameters:
            return None  # a stage of another model, or none of ours
        try:
            card = _card(model, config)
            versions = {v: await asyncio.to_thread(self._version, card, v) for v in ready}
        except (OSError, ValueError, json_format.ParseError) as error:
            _log.error("unreadable model", model=model, reason=str(error))
            return Entry(_unavailable(card, f"unreadable card or version: {error}"))
        return _complete(card, versions, served)

    def _version(self, card: model_pb2.Model, version: str) -> ServedVersion:
        folder = self._repository / card.name.removeprefix("models/") / version
        told = json_format.Parse((folder / VERSION_FILE).read_text(), model_pb2.Version(), ignore_unknown_fields=True)
        told.name, told.state = version, model_pb2.STATE_AVAILABLE
        axes = axis_sets.read(folder / "axes", card.name, told.weights_digest, card.latent.size)
        for name, reason in axes.refused.items():
            _log.error("axes refused", model=card.name, version=version, axis=name, reason=reason)
        return ServedVersion(card, told, axes)


def _card(model: str, config: ModelConfig) -> model_pb2.Model:
    card = json_format.Parse(config.parameters[CARD_PARAMETER], model_pb2.Model(), ignore_unknown_fields=True)
    card.name = f"models/{model}"
    card.max_batch_size = config.max_batch_size
    known = set(FIRST_TENSORS)
    for stage in card.stages:
        missing = set(stage.inputs) - known
        if missing:
            raise ValueError(f"stage {stage.role!r} needs {sorted(missing)}, which nothing provides")
        known.update(stage.outputs)
    if not card.stages:
        raise ValueError("the card has no stages")
    return card


def _complete(card: model_pb2.Model, versions: dict[str, ServedVersion], served: list[Served]) -> Entry:
    newest = max(versions, key=int)
    card.state = model_pb2.STATE_AVAILABLE
    card.default_version = newest
    card.versions.extend(version.version for version in versions.values())
    failed = [one for one in served if not one.ready and one.version not in ("", *versions)]
    for one in sorted(failed, key=lambda one: one.version):
        card.versions.add(name=one.version, state=model_pb2.STATE_UNAVAILABLE, state_reason=one.reason)
    card.axes.extend(f"{card.name}/axes/{name}" for name in versions[newest].axes.newest)
    return Entry(card, versions)


def _unavailable(card: model_pb2.Model, reason: str) -> model_pb2.Model:
    copy = model_pb2.Model()
    copy.CopyFrom(card)
    copy.state, copy.state_reason = model_pb2.STATE_UNAVAILABLE, reason
    return copy
