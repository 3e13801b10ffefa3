import grpc
import pytest

from pellucid_gateway import errors
from pellucid_gateway.backends import triton

Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        (Code.UNAVAILABLE, "[request id: 1] Exceeds maximum queue size", errors.Overloaded),
        (Code.UNAVAILABLE, "Request timeout expired", errors.DeadlineExceeded),
        (Code.UNAVAILABLE, "failed to connect to all addresses", errors.BackendUnreachable),
        (Code.UNAVAILABLE, "Request for unknown model: 'x' has no available versions", errors.ModelUnavailable),
        (Code.NOT_FOUND, "Request for unknown model: 'x' is not found", errors.ModelUnavailable),
        (Code.UNAVAILABLE, "in ensemble: model 'x' is not ready", errors.ModelUnavailable),
        (Code.CANCELLED, "Channel closed!", errors.BackendUnreachable),
        (Code.DEADLINE_EXCEEDED, "Deadline Exceeded", errors.BackendUnreachable),
        (Code.INVALID_ARGUMENT, "unexpected shape for input 'latent'", errors.InferenceFailed),
        (Code.INTERNAL, "onnxruntime failed", errors.InferenceFailed),
    ],
)
def test_what_triton_answers_is_told_apart_by_its_message(code: Code, details: str, kind: type) -> None:
    answered = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)
    assert type(triton.translate(answered, "x", "127.0.0.1:8001")) is kind


def test_the_server_s_version_decides_whether_it_survives_cancellation() -> None:
    assert triton._version("2.51.0") < triton.FIRST_SAFE_CANCELLATION <= triton._version("2.57.0dev")
    assert triton._version("unknown") == (0, 0)


async def test_a_triton_that_is_not_there_is_unreachable() -> None:
    backend = triton.TritonBackend("127.0.0.1:9", 1)
    with pytest.raises(errors.BackendUnreachable, match=r"Triton at 127\.0\.0\.1:9"):
        await backend.served()
    assert not backend.cancels_safely
    await backend.close()
