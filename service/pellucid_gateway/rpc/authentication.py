"""From a gRPC call to its caller, and whether the method is open to them."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import grpc

from pellucid_gateway.errors import PermissionDenied
from pellucid_gateway.identity import caller
from pellucid_gateway.identity.authenticator import Authenticator
from pellucid_gateway.identity.caller import Caller

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
ADMIN = "/pellucid.v1.AdminService/"


async def admit(authenticator: Authenticator, method: str, context: Context) -> Caller:
    """Identify who calls and make them the current caller of this task.

    Raises Unauthenticated, and PermissionDenied where `method` (`/package.Service/Method`) is for administrators.
    """
    found = await authenticator.identify(context.invocation_metadata() or (), _names(context.auth_context()))
    caller.current.set(found)
    if method.startswith(ADMIN) and not found.is_admin:
        raise PermissionDenied(f"{method} is for administrators, and {found.name} is none")
    return found


def _names(peer: Mapping[str, Iterable[bytes]]) -> list[str]:
    """Give the URIs and DNS names of a verified client certificate, or its common name where it has neither."""
    names = [*peer.get("peer_uri", ()), *peer.get("peer_dns", ())] or peer.get("x509_common_name", ())
    return [name.decode(errors="replace") for name in names]
