"""What is to go wrong with a call."""

from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status


@dataclass(frozen=True)
class Fault:
    """What one call is to suffer, after so many images."""

    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    after_images: int = 0
    within_image: bool = False
    """Whether the first part of the next image goes out before."""
    after_s: float = 0.0
    retry_after_s: float | None = None
    violations: tuple[tuple[str, str], ...] = ()

    def status(self) -> Any:
        number = self.code.value[0]
        details: list[Any] = [error_details_pb2.ErrorInfo(reason="TOY", domain="pellucid.dev", metadata={"k": "v"})]
        if self.retry_after_s is not None:
            delay = duration_pb2.Duration()
            delay.FromNanoseconds(int(self.retry_after_s * 1e9))
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        if self.violations:
            violation = error_details_pb2.BadRequest.FieldViolation
            details.append(
                error_details_pb2.BadRequest(
                    field_violations=[violation(field=f, description=d) for f, d in self.violations]
                )
            )
        status = status_pb2.Status(code=number, message=f"toy {code_pb2.Code.Name(number)}")
        for detail in details:
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        return rpc_status.to_status(status)
