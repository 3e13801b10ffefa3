"""Tokens (JWT) of one issuer for one audience."""

from collections.abc import Mapping
from typing import Any

import jwt

from pellucid_gateway.errors import Unauthenticated
from pellucid_gateway.identity.signing_keys import ALGORITHMS, SigningKeys

_REASONS: dict[type[jwt.PyJWTError], str] = {
    jwt.ExpiredSignatureError: "the token has expired",
    jwt.ImmatureSignatureError: "the token is not valid yet",
    jwt.InvalidAudienceError: "the token is for another audience",
    jwt.InvalidIssuerError: "the token is of another issuer",
}


class TokenVerifier:
    """Verifies tokens: signature, issuer, audience, and times, with `leeway_s` for clocks that differ."""

    def __init__(self, issuer: str, audience: str, keys: SigningKeys, leeway_s: float):
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._leeway_s = leeway_s

    async def claims(self, token: str) -> Mapping[str, Any]:
        """Give the claims of a token, among them `sub`. Raises Unauthenticated.

        NOTE: `nbf` is checked where it is there and not required, since large issuers leave it out.
        """
        try:
            key = await self._keys.find(jwt.get_unverified_header(token).get("kid", ""))
            if key is None:
                raise Unauthenticated("the token's signing key is not known")
            return jwt.decode(
                token,
                key,
                ALGORITHMS,
                {"require": ["exp", "sub"], "enforce_minimum_key_length": True},
                audience=self._audience,
                issuer=self._issuer,
                leeway=self._leeway_s,
            )
        except jwt.PyJWTError as error:
            # PyJWT's own messages may quote the token.
            raise Unauthenticated(_REASONS.get(type(error), "the token is not valid")) from None
