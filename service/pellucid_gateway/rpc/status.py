"""The gateway's errors as google.rpc.Status: one table, and the details that each error carries."""

import string
from bisect import bisect_right
from collections.abc import Callable, Sized
from functools import partial
from itertools import accumulate
from urllib.parse import quote

from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from pellucid_gateway import errors

# Details travel in HTTP/2 metadata, which clients take up to 8 KB of, and Base64 adds a third. The message travels a
# second time, percent-encoded: what is not printable ASCII is three times as long.
MAX_MESSAGE = 1000
MAX_DESCRIPTION = 240
MAX_VIOLATIONS = 8

DOMAIN = "pellucid.dev"

_percent_encoded = partial(quote, safe=string.punctuation.replace("%", "") + " ")

CODES: dict[type[errors.GatewayError], int] = {
    errors.InvalidRequest: code_pb2.INVALID_ARGUMENT,
    errors.NotFound: code_pb2.NOT_FOUND,
    errors.Refused: code_pb2.FAILED_PRECONDITION,
    errors.Unauthenticated: code_pb2.UNAUTHENTICATED,
    errors.PermissionDenied: code_pb2.PERMISSION_DENIED,
    errors.QuotaExceeded: code_pb2.RESOURCE_EXHAUSTED,
    errors.Overloaded: code_pb2.RESOURCE_EXHAUSTED,
    errors.DeadlineExceeded: code_pb2.DEADLINE_EXCEEDED,
    errors.ModelUnavailable: code_pb2.UNAVAILABLE,
    errors.BackendUnreachable: code_pb2.UNAVAILABLE,
    errors.InferenceFailed: code_pb2.INTERNAL,
}

REASONS: dict[type[errors.GatewayError], str] = {
    errors.InvalidRequest: "INVALID_REQUEST",
    errors.NotFound: "NOT_FOUND",
    errors.Unauthenticated: "UNAUTHENTICATED",
    errors.PermissionDenied: "PERMISSION_DENIED",
    errors.QuotaExceeded: "QUOTA_EXCEEDED",
    errors.Overloaded: "OVERLOADED",
    errors.DeadlineExceeded: "DEADLINE_EXCEEDED",
    errors.ModelUnavailable: "MODEL_UNAVAILABLE",
    errors.BackendUnreachable: "BACKEND_UNREACHABLE",
    errors.InferenceFailed: "INFERENCE_FAILED",
}

_PASSING = errors.QuotaExceeded | errors.Overloaded | errors.ModelUnavailable | errors.BackendUnreachable


def status_of(error: errors.GatewayError) -> status_pb2.Status:
    """Describe an error with its ErrorInfo and, where they apply, BadRequest, QuotaFailure and RetryInfo."""
    status = status_pb2.Status(code=CODES[type(error)], message=_short(str(error), MAX_MESSAGE, _percent_encoded))
    reason = error.reason if isinstance(error, errors.Refused) else REASONS[type(error)]
    _add(status, error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN))
    if isinstance(error, errors.InvalidRequest):
        violations = [
            error_details_pb2.BadRequest.FieldViolation(
                field=_short(v.field, MAX_DESCRIPTION), description=_short(v.description, MAX_DESCRIPTION)
            )
            for v in error.violations[:MAX_VIOLATIONS]
        ]
        _add(status, error_details_pb2.BadRequest(field_violations=violations))
    if isinstance(error, errors.QuotaExceeded):
        violation = error_details_pb2.QuotaFailure.Violation(subject=error.caller, description=str(error))
        _add(status, error_details_pb2.QuotaFailure(violations=[violation]))
    if isinstance(error, _PASSING):
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(error.retry_after_s * 1e9))
        _add(status, error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def unforeseen() -> status_pb2.Status:
    """What callers are told of an error that nobody foresaw: nothing of its details."""
    status = status_pb2.Status(code=code_pb2.INTERNAL, message="internal error; the gateway's log has the details")
    _add(status, error_details_pb2.ErrorInfo(reason="INTERNAL", domain=DOMAIN))
    return status


def _short(text: str, most: int, encoded: Callable[[str], Sized] = str.encode) -> str:
    """Cut a text to `most` bytes, as they are `encoded`."""
    begin = text[: most + 1]
    if begin == text and len(encoded(text)) <= most:
        return text
    ends = list(accumulate(len(encoded(character)) for character in begin))
    return f"{text[: bisect_right(ends, most - 3)]}..."


def _add(status: status_pb2.Status, detail: Message) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)
    status.details.append(packed)
