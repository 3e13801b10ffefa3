"""An issuer's signing keys (a JWK set), from a file or by https."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import structlog
from jwt import PyJWK, PyJWKClient, PyJWKSet

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Asymmetric ones only: what verifies a token must not be able to sign one."""

REFRESH_S = 300.0
"""A key that its issuer has withdrawn is taken for so long at most."""

COOLDOWN_S = 30.0
"""Between looks for keys that are not known: anyone can make up names of keys."""

TIMEOUT_S = 5.0

_log = structlog.get_logger()


class SigningKeys:
    """Public keys by their ids (`kid`), read in a thread; where a look for newer ones fails, the known ones stay.

    `source` is a path or an https URL; ValueError for any other. `clock` is monotonic, in seconds.
    """

    def __init__(self, source: str, clock: Callable[[], float] = time.monotonic):
        if "://" in source and not source.startswith("https://"):
            raise ValueError(f"signing keys come from a file or by https, not from {source}")
        self._source = source
        self._clock = clock
        self._keys: dict[str, PyJWK] = {}
        self._looked_s = -COOLDOWN_S
        self._look: asyncio.Task[None] | None = None

    async def find(self, kid: str) -> PyJWK | None:
        """Find a key; where it is not known, look for newer ones unless that was done a moment ago."""
        if kid not in self._keys and (self._is_looking() or self._clock() - self._looked_s >= COOLDOWN_S):
            await self.refresh()
        return self._keys.get(kid)

    async def watch(self, interval_s: float = REFRESH_S) -> None:
        """Read the keys every `interval_s` seconds until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            await self.refresh()

    async def refresh(self) -> None:
        """Read the keys, or wait for who is reading them. A source without good ones is logged."""
        if self._look is None or not self._is_looking():
            self._looked_s = self._clock()
            self._look = asyncio.create_task(self._replace())
        # Shared: one who leaves must not end it for the others.
        await asyncio.shield(self._look)

    def _is_looking(self) -> bool:
        return self._look is not None and not self._look.done()

    async def _replace(self) -> None:
        try:
            self._keys = await asyncio.to_thread(self._read)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            _log.error("signing keys kept as they were", source=self._source, reason=reason)

    def _read(self) -> dict[str, PyJWK]:
        if self._source.startswith("https://"):
            keys = PyJWKClient(self._source, cache_jwk_set=False, timeout=TIMEOUT_S).get_jwk_set().keys
        else:
            keys = PyJWKSet.from_json(Path(self._source).read_text(encoding="utf-8")).keys
        usable = {key.key_id: key for key in keys if key.key_id and _is_usable(key)}
        if not usable:
            raise ValueError(f"none of its {len(keys)} keys has an id, is public and is for {', '.join(ALGORITHMS)}")
        return usable


def _is_usable(key: PyJWK) -> bool:
    is_public = not hasattr(key.key, "sign")
    return is_public and key.algorithm_name in ALGORITHMS and key.public_key_use in (None, "sig")
