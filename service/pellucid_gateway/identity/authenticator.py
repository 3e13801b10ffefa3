"""Who calls: from what a request brings with it to a Caller, free of transport."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from pellucid_gateway.errors import Unauthenticated
from pellucid_gateway.identity import api_keys
from pellucid_gateway.identity.caller import Caller
from pellucid_gateway.identity.callers import Callers
from pellucid_gateway.identity.directory import Directory
from pellucid_gateway.identity.tokens import TokenVerifier

_BEARER = "bearer "


class Authenticator:
    """Identifies callers. Without `tokens` none are taken; `clock` gives Unix time in seconds."""

    def __init__(
        self,
        callers: Callers,
        tokens: TokenVerifier | None,
        allows_anonymous: bool,
        clock: Callable[[], float] = time.time,
    ):
        self._callers = callers
        self._tokens = tokens
        self._allows_anonymous = allows_anonymous
        self._clock = clock

    async def identify(self, metadata: Iterable[tuple[str, str | bytes]], certificate_names: Sequence[str]) -> Caller:
        """Find the caller by metadata (`authorization`, `x-api-key`) and the names of a verified certificate.

        Everything that is shown must be valid and say the same, save that a certificate may be nobody's: it may be
        that of an edge in between. Raises Unauthenticated.
        """
        directory = self._callers.directory
        found = [await self._caller(directory, credential) for credential in _credentials(metadata)]
        if certified := directory.by_certificate(certificate_names):
            found.append(certified)
        if len({caller.name for caller in found}) > 1:
            raise Unauthenticated("the credentials belong to different callers")
        if found:
            return found[0]
        if not self._allows_anonymous:
            raise Unauthenticated("no credential: send a key or token as `authorization: Bearer ...`")
        return directory.anonymous

    async def _caller(self, directory: Directory, credential: str) -> Caller:
        if credential.startswith(api_keys.PREFIX):
            return directory.by_key(credential, self._clock())
        if self._tokens is None:
            raise Unauthenticated("the credential is no API key")
        return directory.by_claims(await self._tokens.claims(credential))


def _credentials(metadata: Iterable[tuple[str, str | bytes]]) -> Iterator[str]:
    for name, value in metadata:
        if name in ("authorization", "x-api-key"):
            text = value if isinstance(value, str) else value.decode(errors="replace")
            if name == "authorization":
                if text[: len(_BEARER)].lower() != _BEARER:
                    raise Unauthenticated("authorization must be `Bearer` and a key or token")
                text = text[len(_BEARER) :]
            yield text.strip()
