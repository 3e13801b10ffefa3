"""What is served: one snapshot of all models, and which version answers a request.

    refresh: Triton's index -> the card in a model's config -> each version's version.json and axes/ -> a new snapshot

A refresh replaces the whole snapshot at once, so a request sees one state from start to end. A model with an unreadable
card is listed as unavailable with the reason.
"""

import asyncio
from collections.abc import Callable, Mapping

import structlog
from upath import UPath

from pellucid.v1 import model_pb2
from pellucid_gateway import traffic
from pellucid_gateway.backends.base import Backend
from pellucid_gateway.errors import (
    BackendUnreachable,
    GatewayError,
    ModelUnavailable,
    NotFound,
    PermissionDenied,
    Refused,
)
from pellucid_gateway.identity.caller import current
from pellucid_gateway.manifest import Manifest
from pellucid_gateway.shelf import Entry, Shelf, unavailable
from pellucid_gateway.versions import ServedVersion

_log = structlog.get_logger()


class Catalog:
    """The models behind one backend and one repository."""

    def __init__(self, backend: Backend, repository: str, manifest: Manifest | None = None):
        self._backend = backend
        self._repository = UPath(repository)
        self._shelf = Shelf(backend, self._repository, manifest)
        self._entries: dict[str, Entry] = {}
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
            self._entries = await self._shelf.entries()
        except GatewayError as error:
            self._lose(str(error))
        else:
            self.reachable = True

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
        self._shelf.forget()
        self._entries = {
            name: Entry(unavailable(entry.card, reason), entry.versions) for name, entry in self._entries.items()
        }
