from urllib.parse import quote

import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from pellucid_gateway import errors
from pellucid_gateway.rpc import status

EXAMPLES = [
    errors.invalid("sources[0]", "too long"),
    errors.NotFound("axis", "age"),
    errors.Refused("WRONG_TASK", "not a generator"),
    errors.Unauthenticated("no credentials"),
    errors.PermissionDenied("not for you"),
    errors.QuotaExceeded("ada", "images per minute", 100, 30),
    errors.Overloaded("full", 0.25, "bytes"),
    errors.DeadlineExceeded("late"),
    errors.ModelUnavailable("models/x", "no file"),
    errors.BackendUnreachable("gone"),
    errors.InferenceFailed("broken"),
]

DETAILS = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.BadRequest,
    error_details_pb2.QuotaFailure,
    error_details_pb2.RetryInfo,
)


def details(error: errors.GatewayError) -> dict[str, object]:
    found = {}
    for packed in status.status_of(error).details:
        for kind in DETAILS:
            if packed.Is(kind.DESCRIPTOR):
                message = kind()
                packed.Unpack(message)
                found[kind.__name__] = message
    return found


def all_errors(base: type[errors.GatewayError]) -> set[type[errors.GatewayError]]:
    return {one for child in base.__subclasses__() for one in {child, *all_errors(child)}}


def test_every_error_has_a_code_and_an_example_here() -> None:
    assert all_errors(errors.GatewayError) == set(status.CODES) == {type(error) for error in EXAMPLES}


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_tells_its_domain_and_reason(error: errors.GatewayError) -> None:
    info = details(error)["ErrorInfo"]
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert info.domain == "pellucid.dev"
    assert info.reason == ("WRONG_TASK" if isinstance(error, errors.Refused) else status.REASONS[type(error)])


def test_bad_requests_name_their_fields() -> None:
    bad = details(EXAMPLES[0])["BadRequest"]
    assert isinstance(bad, error_details_pb2.BadRequest)
    assert [(v.field, v.description) for v in bad.field_violations] == [("sources[0]", "too long")]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_what_may_pass_says_when_to_try_again(error: errors.GatewayError) -> None:
    retryable = status.CODES[type(error)] in (code_pb2.UNAVAILABLE, code_pb2.RESOURCE_EXHAUSTED)
    assert ("RetryInfo" in details(error)) == retryable


def test_details_stay_small_however_much_went_wrong() -> None:
    many = errors.InvalidRequest([errors.Violation(f"sources[{k}]" * 100, "x" * 10_000) for k in range(10_000)])
    assert status.status_of(many).ByteSize() < 6000


@pytest.mark.parametrize("letter", ["x", "%", "\n", "é", "\N{GRINNING FACE}"])
def test_a_status_stays_within_what_clients_take_of_metadata(letter: str) -> None:
    many = errors.InvalidRequest([errors.Violation(letter * 1000, letter * 1000) for _ in range(100)])
    told = status.status_of(many)
    assert len(quote(told.message, safe=" :;.x")) + 4 / 3 * told.ByteSize() < 8192 - 256
    assert told.message.startswith(letter * 80)
    assert told.message.endswith("...")


def test_the_unforeseen_tells_nothing_of_its_details() -> None:
    told = status.unforeseen()
    assert isinstance(told, status_pb2.Status)
    assert told.code == code_pb2.INTERNAL
    assert told.message == "internal error; the gateway's log has the details"


def test_a_used_up_quota_tells_whose_and_when_to_come_again() -> None:
    told = details(errors.QuotaExceeded("ada", "images per minute", 100, 30))
    [violation] = told["QuotaFailure"].violations
    assert (violation.subject, violation.description) == ("ada", "ada has used up 100 images per minute")
    assert told["RetryInfo"].retry_delay.seconds == 30
