from pellucid.v1 import model_pb2
from pellucid_gateway.identity.caller import Caller, Kind
from pellucid_gateway.telemetry import calls, metrics
from pellucid_gateway.telemetry.calls import Call
from tests.pellucid_gateway.telemetry.samples import value

STREAM = "/pellucid.v1.AnalysisService/StreamAnalyze"
LABEL = "AnalysisService/StreamAnalyze"

# All tests are coroutines: each has a context of its own, as each call has.


async def test_a_call_is_counted_under_who_they_turned_out_to_be() -> None:
    started = value("pellucid_calls_started_total", method=LABEL)
    handled = value("pellucid_calls_handled_total", method=LABEL, code="OK", caller="token")
    call = Call(STREAM, "id")
    assert value("pellucid_calls_started_total", method=LABEL) == started + 1
    call.caller = Caller("studio", Kind.TOKEN)
    call.end("OK")
    assert value("pellucid_calls_handled_total", method=LABEL, code="OK", caller="token") == handled + 1
    assert call.facts == {"method": STREAM, "request_id": "id", "caller": "studio", "caller_kind": "token"}


async def test_what_a_call_makes_is_counted_for_it_and_names_its_model() -> None:
    metrics.catalog([model_pb2.Model(name="models/judge")])
    before = value("pellucid_images_made_total", model="judge", method=LABEL)
    call = Call(STREAM, "id")
    calls.made("models/judge", 3)
    calls.made("models/judge", 4)
    assert value("pellucid_images_made_total", model="judge", method=LABEL) == before + 7
    assert call.facts["model"] == "models/judge"


async def test_only_calls_that_end_badly_are_remembered_and_only_so_many() -> None:
    for number in range(calls.REMEMBERED + 5):
        Call(STREAM, f"bad-{number}", model="models/judge").end("NOT_FOUND", f"reason {number}")
        Call(STREAM, f"good-{number}").end("OK")
    assert len(calls.recent) == calls.REMEMBERED
    last = calls.recent[-1]
    assert (last.request_id, last.code, last.caller) == (f"bad-{calls.REMEMBERED + 4}", "NOT_FOUND", "anonymous")
    assert (last.model, last.reason) == ("models/judge", f"reason {calls.REMEMBERED + 4}")
    assert not [one for one in calls.recent if one.code == "OK"]
