"""What a refused call said."""

from dataclasses import dataclass, field

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status


@dataclass
class Refusal:
    code: grpc.StatusCode
    message: str
    reason: str = ""
    violations: dict[str, str] = field(default_factory=dict)
    retry_after_s: float | None = None

    @property
    def fields(self) -> list[str]:
        return list(self.violations)


def refusal(error: grpc.aio.AioRpcError) -> Refusal:
    told = Refusal(error.code(), error.details() or "")
    status = rpc_status.from_call(error)
    for packed in status.details if status else ():
        info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if packed.Unpack(info):
            told.reason = info.reason
        elif packed.Unpack(bad):
            told.violations = {v.field: v.description for v in bad.field_violations}
        elif packed.Unpack(retry):
            told.retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9
    return told
