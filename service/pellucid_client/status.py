"""From gRPC statuses to errors, in one table."""

from collections.abc import Mapping
from typing import cast

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from pellucid_client.errors import (
    Cancelled,
    DeadlineExceeded,
    Denied,
    Internal,
    InvalidRequest,
    NotFound,
    Overloaded,
    PellucidError,
    Transient,
    Unavailable,
    Unsupported,
    Violation,
)

ERRORS: Mapping[grpc.StatusCode, type[PellucidError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: Unsupported,
    grpc.StatusCode.UNIMPLEMENTED: Unsupported,
    grpc.StatusCode.UNAUTHENTICATED: Denied,
    grpc.StatusCode.PERMISSION_DENIED: Denied,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.ABORTED: Internal,
    grpc.StatusCode.ALREADY_EXISTS: Internal,
    grpc.StatusCode.DATA_LOSS: Internal,
    grpc.StatusCode.INTERNAL: Internal,
    grpc.StatusCode.UNKNOWN: Internal,
}

_BY_NUMBER = {code.value[0]: kind for code, kind in ERRORS.items()}


def error_from_call(error: grpc.aio.AioRpcError, request_id: str = "") -> PellucidError:
    """Return the error of a failed call, with the details of its google.rpc.Status."""
    return error_from_status(_status_of(error), request_id)


def error_from_status(status: status_pb2.Status, request_id: str = "") -> PellucidError:
    """Return the error of a google.rpc.Status; Internal for a code that gRPC does not know."""
    info, bad_request, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    for detail in status.details:
        for one in (info, bad_request, retry):
            detail.Unpack(one)
    kind = _BY_NUMBER.get(status.code, Internal)
    if kind is Overloaded and not retry.HasField("retry_delay"):
        # The gateway always says when to come back; without that it is gRPC itself, refusing a message for its size.
        kind = InvalidRequest
    error = kind(
        status.message or code_pb2.Code.Name(status.code),
        reason=info.reason,
        metadata=info.metadata,
        request_id=request_id,
    )
    if isinstance(error, InvalidRequest):
        error.violations = tuple(
            Violation(violation.field, violation.description) for violation in bad_request.field_violations
        )
    if isinstance(error, Transient) and retry.HasField("retry_delay"):
        error.retry_after_s = retry.retry_delay.ToTimedelta().total_seconds()
    return error


def _status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    try:
        # NOTE: the parser's annotation names the synchronous call; it asks only for the three methods both have.
        status = rpc_status.from_call(cast(grpc.Call, error))
    except ValueError:  # the details contradict the code: a proxy has changed one of the two
        status = None
    if status is not None:
        return status
    return status_pb2.Status(code=error.code().value[0], message=error.details() or "")
