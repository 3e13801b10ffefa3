"""An issuer of tokens."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NAME = "https://issuer.example"
AUDIENCE = "pellucid"


class Issuer:
    def __init__(self, kid: str = "k1") -> None:
        self.kid = kid
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def jwk(self, **changes: Any) -> dict[str, Any]:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {**public, "kid": self.kid, "use": "sig", "alg": "RS256", **changes}

    def private_jwk(self, **changes: Any) -> dict[str, Any]:
        return {
            **jwt.algorithms.RSAAlgorithm.to_jwk(self.key, as_dict=True),
            "kid": self.kid,
            "alg": "RS256",
            **changes,
        }

    @property
    def public_pem(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims; a change to None leaves a claim out."""
        now = int(time.time())
        claims = {"iss": NAME, "aud": AUDIENCE, "sub": "ada", "nbf": now - 60, "exp": now + 600, **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, **changes: Any) -> str:
        return jwt.encode(self.claims(**changes), self.key, "RS256", {"kid": self.kid})

    def unsigned(self) -> str:
        return f"{_part({'alg': 'none', 'typ': 'JWT', 'kid': self.kid})}.{_part(self.claims())}."

    def confused(self) -> str:
        """A token signed by HMAC, with the public key, which everybody knows, as the secret."""
        signed = f"{_part({'alg': 'HS256', 'typ': 'JWT', 'kid': self.kid})}.{_part(self.claims())}"
        return f"{signed}.{_base64(hmac.digest(self.public_pem, signed.encode(), hashlib.sha256))}"


def elliptic_jwk(kid: str) -> dict[str, Any]:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return {**jwt.algorithms.ECAlgorithm.to_jwk(public, as_dict=True), "kid": kid}


def write_jwks(path: Path, *keys: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"keys": list(keys)}))
    return path


def _part(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value).encode())


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
