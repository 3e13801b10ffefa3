import pytest

from pellucid.v1 import generation_service_pb2, image_pb2, model_pb2
from pellucid_gateway.telemetry import metrics
from tests.pellucid_gateway.telemetry.samples import label_values, value

GENERATE = "/pellucid.v1.GenerationService/Generate"


@pytest.fixture(autouse=True)
def catalog() -> None:
    metrics.catalog(
        [
            model_pb2.Model(
                name="models/paint",
                state=model_pb2.STATE_AVAILABLE,
                stages=[model_pb2.Stage(model="paint.mapping"), model_pb2.Stage(model="paint")],
            ),
            model_pb2.Model(name="models/torn", state=model_pb2.STATE_UNAVAILABLE),
        ]
    )


def test_a_call_is_counted_when_it_comes_and_by_its_code_and_callers_kind_when_it_ends() -> None:
    labels = {"method": "GenerationService/Generate", "code": "OK"}
    started = value("pellucid_calls_started_total", method=labels["method"])
    handled = value("pellucid_calls_handled_total", caller="key", **labels)
    fast = value("pellucid_call_duration_seconds_bucket", le="0.025", **labels)
    slow = value("pellucid_call_duration_seconds_bucket", le="0.05", **labels)
    metrics.call_started(GENERATE)
    metrics.call_handled(GENERATE, "OK", "key", 0.03)
    assert value("pellucid_calls_started_total", method=labels["method"]) == started + 1
    assert value("pellucid_calls_handled_total", caller="key", **labels) == handled + 1
    assert value("pellucid_call_duration_seconds_bucket", le="0.025", **labels) == fast
    assert value("pellucid_call_duration_seconds_bucket", le="0.05", **labels) == slow + 1
    assert ("GenerationService/Generate", "OK", "key", handled + 1) in metrics.handled()


def test_a_batch_is_counted_with_its_rows_its_time_and_the_wait_of_each_member() -> None:
    names = [f"pellucid_{name}" for name in ("batch_rows", "queue_seconds", "inference_seconds")]
    before = [(value(f"{name}_count", model="paint"), value(f"{name}_sum", model="paint")) for name in names]
    metrics.batch("paint", 6, [2_000_000, 3_000_000], 40_000_000)
    added = [
        (value(f"{name}_count", model="paint") - count, value(f"{name}_sum", model="paint") - total)
        for name, (count, total) in zip(names, before, strict=True)
    ]
    assert added == [(1, 6), (2, pytest.approx(0.005)), (1, pytest.approx(0.04))]


def test_messages_are_counted_by_their_bytes_and_pass_unchanged() -> None:
    request = generation_service_pb2.GenerateRequest(model="models/paint")
    data, method = request.SerializeToString(), "GenerationService/Generate"
    received = value("pellucid_received_bytes_total", method=method)
    sent = value("pellucid_sent_bytes_total", method=method)
    read = metrics.receiving(GENERATE, generation_service_pb2.GenerateRequest.FromString)
    write = metrics.sending(GENERATE, generation_service_pb2.GenerateRequest.SerializeToString)
    assert read(data) == request
    assert write(request) == data
    assert value("pellucid_received_bytes_total", method=method) == received + len(data)
    assert value("pellucid_sent_bytes_total", method=method) == sent + len(data)


def test_what_is_told_of_the_present_replaces_what_was_told_before() -> None:
    for calls, healthy in ((5, 3), (2, 1)):
        metrics.in_flight("calls", calls)
        metrics.in_flight("bytes", calls * 1000)
        metrics.replicas(healthy, 3)
    assert value("pellucid_in_flight_calls") == 2
    assert value("pellucid_in_flight_bytes") == 2000
    assert (value("pellucid_triton_replicas_healthy"), value("pellucid_triton_replicas")) == (1, 3)
    assert (value("pellucid_models", state="available"), value("pellucid_models", state="unavailable")) == (1, 1)
    metrics.catalog([])
    assert (value("pellucid_models", state="available"), value("pellucid_models", state="unavailable")) == (0, 0)


def test_images_refusals_retries_and_styles_are_counted() -> None:
    made = {"model": "paint", "method": "GenerationService/Generate"}
    names = {
        "pellucid_images_made_total": made,
        "pellucid_shed_total": {"reason": "deadline", "caller": "token"},
        "pellucid_triton_retries_total": {},
        "pellucid_style_cache_lookups_total": {"result": "hit"},
        "pellucid_encode_seconds_count": {"format": "webp"},
        "pellucid_decode_seconds_count": {},
    }
    before = [value(name, **labels) for name, labels in names.items()]
    metrics.images_made("models/paint", GENERATE, 4)
    metrics.shed("deadline", "token")
    metrics.retried()
    metrics.styles_looked_up(3, 1)
    with metrics.encoding(image_pb2.IMAGE_FORMAT_WEBP), metrics.decoding():
        pass
    after = [value(name, **labels) for name, labels in names.items()]
    assert [b - a for a, b in zip(before, after, strict=True)] == [4, 1, 1, 3, 1, 1]


def test_ten_thousand_made_up_models_give_one_label_value() -> None:
    families = ("pellucid_images_made", "pellucid_batch_rows", "pellucid_queue_seconds", "pellucid_inference_seconds")
    before = [label_values(family, "model") for family in families]
    for number in range(10_000):
        metrics.images_made(f"models/made-up-{number}", GENERATE, 1)
        metrics.batch(f"made-up-{number}", 1, [1], 1)
    assert [label_values(family, "model") for family in families] == [values | {"unknown"} for values in before]
    assert metrics.model_label("paint.mapping") == "paint.mapping"
    assert metrics.model_label("models/torn") == "torn"


@pytest.mark.parametrize(
    "method",
    [
        "/pellucid.v1.GenerationService/Destroy",
        "/pellucid.v1.NoService/Generate",
        "/grpc.health.v1.Health/Check",
        "/evil",
        "",
        "/pellucid.v1.GenerationService/" + "x" * 10_000,
    ],
)
def test_methods_that_are_not_of_the_contract_are_unknown(method: str) -> None:
    assert metrics.method_label(method) == "unknown"
    assert metrics.method_label(GENERATE) == "GenerationService/Generate"


def test_codes_that_grpc_does_not_have_are_unknown() -> None:
    before = value("pellucid_calls_handled_total", method="unknown", code="UNKNOWN", caller="anonymous")
    metrics.call_handled("/evil", "TEAPOT", "anonymous", 0.1)
    assert value("pellucid_calls_handled_total", method="unknown", code="UNKNOWN", caller="anonymous") == before + 1
