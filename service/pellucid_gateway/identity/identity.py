"""Who may call this gateway, as its settings say."""

from collections.abc import Coroutine

from pellucid_gateway.identity.anonymous import takes_anonymous
from pellucid_gateway.identity.authenticator import Authenticator
from pellucid_gateway.identity.callers import Callers
from pellucid_gateway.identity.signing_keys import SigningKeys
from pellucid_gateway.identity.tokens import TokenVerifier
from pellucid_gateway.settings import Settings

CALLERS_INTERVAL_S = 1.0


class Identity:
    """The callers that the settings know, and the authenticator that tells them apart."""

    def __init__(self, settings: Settings):
        self._callers = Callers(settings.callers_file)
        self._keys = SigningKeys(settings.jwt_jwks) if settings.jwt_jwks else None
        tokens = None
        if self._keys:
            tokens = TokenVerifier(settings.jwt_issuer, settings.jwt_audience, self._keys, settings.jwt_leeway_s)
        is_configured = settings.callers_file is not None
        anonymous = takes_anonymous(settings.address, is_configured, settings.allow_anonymous)
        self.authenticator = Authenticator(self._callers, tokens, anonymous)

    async def prepare(self) -> None:
        """Fetch the keys that tokens are signed with."""
        if self._keys:
            await self._keys.refresh()

    def watches(self) -> list[Coroutine[None, None, None]]:
        """Give what keeps callers and keys as they are now, each to be run until cancelled."""
        return [self._callers.watch(CALLERS_INTERVAL_S), *([self._keys.watch()] if self._keys else [])]
