"""What can go wrong, in the gateway's own words.

    GatewayError
    ├── InvalidRequest       the caller's mistake, with the fields at fault
    ├── NotFound             no such model, version or axis
    ├── Refused              a sound request that this model, recipe or axis cannot honour
    ├── Unauthenticated      the caller did not prove who they are
    ├── PermissionDenied     the caller may not do this
    ├── QuotaExceeded        the caller has used up their share; try again after a while
    ├── Overloaded           no room now; try again after a while
    ├── DeadlineExceeded     the caller's time ran out
    ├── ModelUnavailable     the model is there but cannot serve
    ├── BackendUnreachable   Triton cannot be reached
    └── InferenceFailed      Triton could not compute what it was asked

Errors carry facts and no status codes: `rpc/status.py` translates them for gRPC.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

ShedReason = Literal["calls", "images", "bytes", "deadline", "fairness", "quota", "backend"]
"""What there may be no room for; few enough to be a label of metrics."""


class GatewayError(Exception):
    """Base of all errors that the gateway raises on purpose."""


@dataclass(frozen=True)
class Violation:
    """One fault of a request: the path of the field, and what is wrong with its value."""

    field: str
    description: str


class InvalidRequest(GatewayError):
    """The caller's mistake, with the fields at fault."""

    def __init__(self, violations: Sequence[Violation]):
        self.violations = tuple(violations)
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in violations))


def invalid(field: str, description: str) -> InvalidRequest:
    """Make an InvalidRequest about one field."""
    return InvalidRequest([Violation(field, description)])


class NotFound(GatewayError):
    """There is no such model, version or axis."""

    def __init__(self, kind: str, name: str, known: Sequence[str] = ()):
        self.kind = kind
        self.name = name
        hint = f"; there are {', '.join(sorted(known)[:20])}" if known else ""
        super().__init__(f"no {kind} {name!r}{hint}")


class Refused(GatewayError):
    """A sound request that this model, recipe or axis cannot honour.

    `reason` is an upper-snake-case word for programs: CONTROL_NOT_SUPPORTED, WRONG_TASK, WEIGHTS_DIFFER, ...
    """

    def __init__(self, reason: str, message: str):
        self.reason = reason
        super().__init__(message)


class Unauthenticated(GatewayError):
    """The caller did not prove who they are. The message must not tell what a right proof would have been."""


class PermissionDenied(GatewayError):
    """The caller may not do this."""


class QuotaExceeded(GatewayError):
    """The caller has used up `quota` (such as `images per minute`)."""

    reason: ShedReason = "quota"

    def __init__(self, caller: str, quota: str, limit: float, retry_after_s: float):
        self.caller = caller
        self.quota = quota
        self.retry_after_s = retry_after_s
        super().__init__(f"{caller} has used up {limit:g} {quota}")


class Overloaded(GatewayError):
    """There is no room now; `reason` says in a word for what."""

    def __init__(self, message: str, retry_after_s: float, reason: ShedReason):
        self.retry_after_s = retry_after_s
        self.reason: ShedReason = reason
        super().__init__(message)


class DeadlineExceeded(GatewayError):
    """The caller's time ran out."""


class ModelUnavailable(GatewayError):
    """The model is in the repository but cannot serve."""

    retry_after_s = 1.0

    def __init__(self, model: str, reason: str):
        self.model = model
        super().__init__(f"{model} is not available: {reason}")


class BackendUnreachable(GatewayError):
    """Triton cannot be reached."""

    retry_after_s = 1.0


class InferenceFailed(GatewayError):
    """Triton could not compute what it was asked."""
