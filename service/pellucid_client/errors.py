"""Errors of the client.

PellucidError
  InvalidRequest     a field is wrong; `violations` say which
  NotFound           there is no such model, version or axis
  Unsupported        the model cannot do it, or a recipe belongs to other weights or axes
  Denied             the credentials are missing or not enough
  Transient          the same call may succeed later; `retry_after_s` where the gateway said when
    Overloaded       too much in flight; the gateway always says when to come back
    Unavailable      nobody answers
  DeadlineExceeded   it took longer than the caller's time
  Cancelled          the gateway's side gave the call up
  Internal           a fault in the gateway, or an answer against the contract
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """One wrong field of a request: its path and what is wrong with it."""

    field: str
    description: str


class PellucidError(Exception):
    """What a call may raise.

    `reason` and `metadata` are the ErrorInfo of the answer, empty where it had none; `request_id` is the
    identifier under which the gateway logged the call.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.request_id = request_id


class InvalidRequest(PellucidError):
    """A field of the request is wrong; raised before the call where the client sees it itself."""

    violations: Sequence[Violation] = ()

    @classmethod
    def of(cls, field: str, description: str) -> "InvalidRequest":
        """Return the error of one field."""
        error = cls(f"{field}: {description}")
        error.violations = (Violation(field, description),)
        return error


class NotFound(PellucidError):
    """There is no such model, version or axis."""


class Unsupported(PellucidError):
    """The model lacks the control or task, or a recipe was made with other weights or axes."""


class Denied(PellucidError):
    """The credentials are missing, unknown, or not enough for the call."""


class Transient(PellucidError):
    """The same call may succeed later, after `retry_after_s` seconds where the gateway said so."""

    retry_after_s: float | None = None


class Overloaded(Transient):
    """The gateway has too much in flight."""


class Unavailable(Transient):
    """The gateway, or the Triton behind it, cannot be reached."""


class DeadlineExceeded(PellucidError):
    """The call took longer than its time."""


class Cancelled(PellucidError):
    """The call was given up on the other side."""


class Internal(PellucidError):
    """The gateway failed in a way that nobody foresaw, or answered against the contract."""
