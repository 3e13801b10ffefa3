from pellucid.v1 import model_pb2
from pellucid_gateway.telemetry import debug
from pellucid_gateway.telemetry.calls import Ended
from pellucid_gateway.telemetry.facts import Facts, versions

EVIL = "<script>alert('x')</script>"


def page(facts: Facts, *ended: Ended) -> str:
    return debug.page(facts, {"pellucid": "1.2"}, {"asyncio_tasks": 7}, [("Service/Method", "OK", "key", 12)], ended)


def facts(**changes: object) -> Facts:
    model = model_pb2.Model(
        name="models/paint",
        state=model_pb2.STATE_AVAILABLE,
        versions=[model_pb2.Version(name="1"), model_pb2.Version(name="2")],
    )
    torn = model_pb2.Model(name="models/torn", state=model_pb2.STATE_UNAVAILABLE, state_reason=EVIL)
    return Facts(**{"reachable": True, "draining": False, "models": [model, torn], **changes})


def test_the_page_tells_models_replicas_flight_calls_process_and_settings() -> None:
    replica = {"address": "10.0.0.7:8001", "healthy": False, "last_error": "no answer"}
    told = page(facts(replicas=[replica], in_flight={"bytes": 1234}, settings={"drain_s": 30.0}))
    for row in (
        "<td>models/paint</td><td>available</td><td>1 2</td><td></td>",
        "<td>10.0.0.7:8001</td><td>False</td><td>no answer</td>",
        "<td>bytes</td><td>1234</td>",
        "<td>Service/Method</td><td>OK</td><td>key</td><td>12</td>",
        "<td>asyncio_tasks</td><td>7</td>",
        "<td>pellucid</td><td>1.2</td>",
        "<td>drain_s</td><td>30.0</td>",
    ):
        assert f"<tr>{row}</tr>" in told
    assert "<h1>Pellucid gateway: ready</h1>" in told


def test_whatever_callers_and_models_say_is_escaped_and_shortened() -> None:
    first = Ended("S/M", EVIL, "NOT_FOUND", "x" * 10_000, "anonymous", EVIL, 0.25)
    told = page(facts(), first, Ended("S/M", "", "ABORTED", "later", "key", "id", 1.0))
    assert "<script" not in told
    assert told.count("&lt;script&gt;") == 3
    assert f"<td>{'x' * debug.MAX_TEXT}...</td>" in told
    assert told.index("later") < told.index("x" * debug.MAX_TEXT)


def test_no_secret_is_on_the_page() -> None:
    settings = {
        "jwt_secret": "s3same",
        "model_repository": "s3://user:s3same@bucket",
        "metadata": {"inner": "plain"},
    }
    told = page(facts(settings=settings))
    assert "s3same" not in told
    assert "<td>jwt_secret</td><td>(hidden)</td>" in told


def test_a_gateway_that_is_not_ready_says_all_that_is_wrong() -> None:
    assert facts().faults == []
    assert facts(draining=True, reachable=False, models=[]).faults == [
        "draining",
        "no Triton can be reached",
        "no model is available",
    ]
    assert "<h1>Pellucid gateway: not ready: draining</h1>" in page(facts(draining=True))


def test_the_versions_of_what_runs_are_known() -> None:
    assert set(versions()) == {"python", "pellucid", "grpcio", "protobuf", "numpy", "uvloop"}
    assert all(versions().values())
