"""Tokens, the keys that they are signed with, and what publishes these."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

ISSUER = "https://issuer.example"
AUDIENCE = "pellucid"


class Signer:
    """Signs tokens with a key of its own."""

    def __init__(self, key_id: str = "first") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._key_id = key_id

    def jwks(self) -> str:
        public = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return json.dumps({"keys": [public | {"kid": self._key_id, "alg": "ES256", "use": "sig"}]})

    def token(self, **claims: Any) -> str:
        usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "someone", "exp": int(time.time()) + 600}
        return jwt.encode(usual | claims, self._key, algorithm="ES256", headers={"kid": self._key_id})


@contextmanager
def published(jwks: str) -> Iterator[str]:
    """Serve keys, and give their URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(jwks)))
            self.end_headers()
            self.wfile.write(jwks.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/jwks.json"
        server.shutdown()
        thread.join()
