from typing import Any

import grpc
import pytest
from google.rpc import status_pb2

from pellucid_client import Internal, InvalidRequest, PellucidError, Transient, Unavailable, errors
from pellucid_client.status import ERRORS, error_from_status
from tests.pellucid_client.faces import got
from tests.pellucid_client.faults import Fault
from tests.pellucid_client.servicers import ToyGateway

FAILURES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


def test_every_code_has_an_error() -> None:
    assert set(ERRORS) == set(FAILURES)


def test_every_error_has_a_code() -> None:
    declared = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, PellucidError)}
    assert set(ERRORS.values()) == declared - {PellucidError, Transient}


@pytest.mark.parametrize("code", FAILURES)
async def test_a_status_becomes_its_error_with_its_details(
    client: Any, gateway: ToyGateway, code: grpc.StatusCode
) -> None:
    gateway.faults.append(Fault(code, retry_after_s=60, violations=(("seeds.count", "70 is above 64"),)))
    with pytest.raises(PellucidError) as caught:
        await got(client.generate("toy", seed=1, request_id="mine"))
    error = caught.value
    assert type(error) is ERRORS[code]
    assert str(error) == f"toy {code.name}"
    assert (error.reason, error.metadata, error.request_id) == ("TOY", {"k": "v"}, "mine")
    if isinstance(error, InvalidRequest):
        assert [(one.field, one.description) for one in error.violations] == [("seeds.count", "70 is above 64")]
    if isinstance(error, Transient):
        assert error.retry_after_s == 60


def test_no_retry_info_is_no_pause() -> None:
    error = error_from_status(status_pb2.Status(code=14, message="away"))
    assert isinstance(error, Unavailable)
    assert error.retry_after_s is None


def test_exhaustion_that_will_not_pass_is_a_wrong_request() -> None:
    error = error_from_status(status_pb2.Status(code=8, message="Received message larger than max (5 vs. 4)"))
    assert type(error) is InvalidRequest
    assert str(error) == "Received message larger than max (5 vs. 4)"


def test_a_code_nobody_knows_is_internal() -> None:
    assert type(error_from_status(status_pb2.Status(code=99, message="?"))) is Internal
