"""Server credentials for TLS, and mutual TLS, from files that may be replaced while the server runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import structlog
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from pellucid_gateway.identity.file_stamp import file_stamp

_log = structlog.get_logger()


def server_credentials(certificate: Path, key: Path, client_ca: Path | None = None) -> grpc.ServerCredentials:
    """Make credentials from PEM files; each new connection is given the newest good certificate.

    `certificate` is a chain, the server's own first; `key` is not encrypted. With `client_ca` every client must show a
    certificate of these authorities. Raises ValueError where the files do not fit together, and OSError.

    NOTE: grpcio has no way to ask for client certificates without requiring them.
    """
    files = _CertificateFiles([certificate, key, *([client_ca] if client_ca else [])])
    # The stubs do not know that None means no change.
    fetch: Any = files.changed
    return grpc.dynamic_ssl_server_credentials(files.read(), fetch, require_client_authentication=bool(client_ca))


class _CertificateFiles:
    def __init__(self, paths: Sequence[Path]):
        self._paths = paths
        self._stamp = self._stamps()

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Give what is new, or None. Called before each handshake, in a thread of gRPC's."""
        stamp = self._stamps()
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        try:
            configuration = self.read()
        except (OSError, ValueError) as error:
            _log.error("certificate kept as it was", reason=str(error))
            return None
        _log.info("certificate read", certificate=str(self._paths[0]))
        return configuration

    def read(self) -> grpc.ServerCertificateConfiguration:
        certificate, key, *client_ca = (path.read_bytes() for path in self._paths)
        self._check(certificate, key, *client_ca)
        return grpc.ssl_server_certificate_configuration([(key, certificate)], *client_ca)

    def _check(self, certificate: bytes, key: bytes, *client_ca: bytes) -> None:
        try:
            belongs = load_pem_x509_certificates(certificate)[0].public_key()
            for authorities in client_ca:
                load_pem_x509_certificates(authorities)
            fits = load_pem_private_key(key, None).public_key() == belongs
        except (TypeError, ValueError):
            # What the parsers say may quote what they read.
            names = ", ".join(map(str, self._paths))
            raise ValueError(f"one of {names} is not PEM as expected, or the key is encrypted") from None
        if not fits:
            raise ValueError(f"the key {self._paths[1]} does not belong to the certificate {self._paths[0]}")

    def _stamps(self) -> list[tuple[int, ...] | None]:
        return [file_stamp(path) for path in self._paths]
