"""API keys: `pk_<id>_<secret>`, of which the gateway knows the id and a digest."""

import hashlib
import secrets

PREFIX = "pk_"


def create_key() -> str:
    """Create a key with a secret of 256 random bits, which is why a plain digest of it is enough."""
    return f"{PREFIX}{secrets.token_hex(6)}_{secrets.token_hex(32)}"


def key_id(key: str) -> str:
    """Give the part of a key that may be shown; whatever is no key has some id too, and nobody's."""
    return key.removeprefix(PREFIX).partition("_")[0]


def digest(key: str) -> bytes:
    """Give what is stored of a key: the SHA-256 of all of it."""
    return hashlib.sha256(key.encode(errors="replace")).digest()
