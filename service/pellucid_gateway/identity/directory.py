"""Who is who: callers by what they prove themselves with, as one state of the callers file says."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pellucid_gateway.errors import Unauthenticated
from pellucid_gateway.identity import api_keys
from pellucid_gateway.identity.caller import ANONYMOUS, NOBODY, Caller, Kind
from pellucid_gateway.identity.callers_file import CallerEntry, CallersDocument, Role

MAX_SUBJECT = 200


@dataclass(frozen=True)
class _Key:
    digest: bytes
    expires_s: float
    caller: Caller


_NO_KEY = _Key(bytes(32), 0.0, NOBODY)
"""Compared with where an id is unknown, so that this takes as long as a wrong secret. Nothing has this digest."""


class Directory:
    """Callers by key, by token and by certificate."""

    def __init__(self, document: CallersDocument):
        self.anonymous = (
            _caller(document.anonymous, ANONYMOUS.name, Kind.ANONYMOUS) if document.anonymous else ANONYMOUS
        )
        self._token_role = document.tokens
        self._keys: dict[str, _Key] = {}
        self._subjects: dict[str, Caller] = {}
        self._claims: list[tuple[Mapping[str, str], Caller]] = []
        self._certificates: dict[str, Caller] = {}
        for entry in document.callers:
            self._add(entry)

    def by_key(self, key: str, now_s: float) -> Caller:
        """Find the caller of an API key; `now_s` is Unix time. Raises Unauthenticated."""
        known = self._keys.get(api_keys.key_id(key), _NO_KEY)
        if not hmac.compare_digest(known.digest, api_keys.digest(key)):
            raise Unauthenticated("the API key is not valid")
        if now_s >= known.expires_s:
            raise Unauthenticated("the API key has expired")
        return known.caller

    def by_claims(self, claims: Mapping[str, Any]) -> Caller:
        """Find the caller of a verified token: by its subject, else by its claims, else in the role of all tokens.

        Where the claims fit several callers, the first in the file is taken. Raises Unauthenticated.
        """
        subject = str(claims["sub"])
        if len(subject) > MAX_SUBJECT:
            raise Unauthenticated(f"the token's subject has {len(subject)} characters, and the limit is {MAX_SUBJECT}")
        if subject in self._subjects:
            return self._subjects[subject]
        for wanted, caller in self._claims:
            if all(_holds(claims.get(name), value) for name, value in wanted.items()):
                return caller
        if self._token_role is None:
            raise Unauthenticated("the token is nobody's that this gateway knows")
        # A caller's name has no slash: no token can choose its way into somebody's quota.
        return _caller(self._token_role, f"token/{subject}", Kind.TOKEN)

    def by_certificate(self, names: Sequence[str]) -> Caller | None:
        """Find the caller of a verified certificate's names, None where they are nobody's. Raises Unauthenticated."""
        callers = {caller.name: caller for name in names if (caller := self._certificates.get(name))}
        if len(callers) > 1:
            raise Unauthenticated("the certificate's names belong to different callers")
        return next(iter(callers.values()), None)

    def _add(self, entry: CallerEntry) -> None:
        by_key, by_token, by_certificate = (
            _caller(entry, entry.name, kind, entry.admin) for kind in (Kind.KEY, Kind.TOKEN, Kind.CERTIFICATE)
        )
        for key in entry.keys:
            expires_s = key.expires.timestamp() if key.expires else float("inf")
            self._keys[key.id] = _Key(bytes.fromhex(key.sha256), expires_s, by_key)
        self._subjects |= dict.fromkeys(entry.subjects, by_token)
        self._certificates |= dict.fromkeys(entry.certificates, by_certificate)
        if entry.claims:
            self._claims.append((entry.claims, by_token))


def _caller(role: Role, name: str, kind: Kind, is_admin: bool = False) -> Caller:
    return Caller(name, kind, tuple(role.models), is_admin, role.images_per_minute, role.bytes_per_minute)


def _holds(claim: Any, value: str) -> bool:
    """Whether a claim is a value, or a list that has it."""
    return value in claim if isinstance(claim, list) else value == claim
