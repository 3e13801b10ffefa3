import asyncio
import math

import grpc
import numpy as np
import pytest

from pellucid.v1 import generation_service_pb2 as pb
from pellucid.v1 import image_pb2
from pellucid_gateway.errors import InferenceFailed
from tests.pellucid_gateway.conftest import Gateway
from tests.pellucid_gateway.rpc.asking import PAINT, edit, given, refused, seed

BAD = [
    ("Generate", pb.GenerateRequest(), {"model": "does not match regex pattern"}),
    ("Generate", pb.GenerateRequest(model="paint"), {"model": "'paint'"}),
    ("Generate", pb.GenerateRequest(model=PAINT, sources=[image_pb2.Source()]), {"sources[0].source": "exactly one field"}),
    ("Generate", pb.GenerateRequest(model=PAINT, sources=[given(1, 2, 3)]), {"sources[0].latent.values": "3 numbers, and models/paint takes 4"}),
    ("Generate", pb.GenerateRequest(model=PAINT, sources=[seed(1), given(1, math.nan, 3, math.inf)]),
     {"sources[1].latent.values[1]": "nan is not finite", "sources[1].latent.values[3]": "inf is not finite"}),
    ("Generate", pb.GenerateRequest(model=PAINT, seeds=pb.SeedRange(count=65)), {"sources": "65 images, and a unary call gives at most 64"}),
    ("Generate", pb.GenerateRequest(model=PAINT, seeds=pb.SeedRange(count=0)), {"seeds.count": "and it is 0"}),
    ("Generate", pb.GenerateRequest(model=PAINT, sources=[seed(1)] * 65), {"sources": "no more than 64"}),
    ("Generate", pb.GenerateRequest(model=PAINT, sources=[seed(1)], seeds=pb.SeedRange()), {"seeds": "not together with sources"}),
    ("Generate", pb.GenerateRequest(model=PAINT, output={"format": 9}), {"output.format": "and it is 9"}),
    ("Generate", pb.GenerateRequest(model=PAINT, output={"quality": 101}), {"output.quality": "and it is 101"}),
    ("Generate", pb.GenerateRequest(model=PAINT, output={"quality": 50, "format": 2}), {"output.quality": "IMAGE_FORMAT_PNG has no quality"}),
    ("Generate", pb.GenerateRequest(model=PAINT, priority=7), {"priority": "and it is 7"}),
    ("StreamGenerate", pb.StreamGenerateRequest(model=PAINT, seeds=pb.SeedRange(count=1_000_001)), {"seeds.count": "and it is 1000001"}),
    ("StreamGenerate", pb.StreamGenerateRequest(model=PAINT, sources=[seed(1), seed(2), given(1)]), {"sources[2].latent.values": "1 numbers, and models/paint takes 4"}),
    ("Edit", pb.EditRequest(model=PAINT), {"sources": "at least 1 item"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit({"axis": "red"})), {"edit.moves[0].amount": "exactly one field"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit({"axis": "red", "steps": math.inf})), {"edit.moves[0].steps": "must be finite"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit({"axis": "red", "steps": -7})), {"edit.moves[0]": "would move 7 steps, and its limit is 6"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], sweep=pb.Sweep(axis="red", amounts=[0, 9])), {"sweep": "would move 9 steps, and its limit is 6"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], sweep=pb.Sweep(axis="red")), {"sweep.amounts": "at least 1 item"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit({"axis": "red", "steps": 1}, locks=("red",))), {"edit.moves[0].axis": "both moved and locked"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit({"axis": "red", "steps": 1}, {"axis": "red", "steps": 2})), {"edit.moves[1].axis": "moved twice"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit({"axis": "red", "steps": 1}, locks=("warm", "green"))), {"edit.moves[0]": r"the locks (warm, green) leave 0.000 of axis 'red'"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit(locks=("red", "green", "red"))), {"edit.locks[2]": "axis 'red' is locked twice"}),
    ("Interpolate", pb.InterpolateRequest(model=PAINT, keyframes=[seed(1), given(1)]), {"keyframes[1].latent.values": "1 numbers"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit({"axis": "bare", "target": 3})), {"edit.moves[0].target": "has no slope or intercept"}),
    ("Edit", pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit({"axis": "glow", "target": 1.5})), {"edit.moves[0].target": "1.5 is not between 0 and 1"}),
    ("StreamEdit", pb.StreamEditRequest(model=PAINT), {"sources": "one of sources and seeds is required"}),
    ("Interpolate", pb.InterpolateRequest(model=PAINT, keyframes=[seed(1)]), {"keyframes": "at least 2 item"}),
    ("RenderImage", pb.RenderImageRequest(model=PAINT, moves=["red=2"]), {"moves[0]": "'red=2'"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "request_", "violations"), BAD)
async def test_bad_input_is_refused_with_the_field_the_value_and_the_limit(
    gateway: Gateway, method: str, request_: object, violations: dict[str, str]
) -> None:
    told = await refused(getattr(gateway.generation, method)(request_))
    assert (told.code, told.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert set(told.violations) == set(violations)
    for field, text in violations.items():
        assert text in told.violations[field]
    assert gateway.backend.batches == []


@pytest.mark.parametrize(
    ("request_", "code", "reason", "message"),
    [
        (pb.EditRequest(model="models/nobody", sources=[seed(1)]), "NOT_FOUND", "NOT_FOUND", "no model 'models/nobody'"),
        (pb.EditRequest(model=PAINT, version="4", sources=[seed(1)]), "NOT_FOUND", "NOT_FOUND", "no version of models/paint '4'"),
        (pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit({"axis": "age", "steps": 1})), "NOT_FOUND", "NOT_FOUND", "no axis 'age'; there are bare, glow, green, red, warm"),
        (pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit(locks=("age",))), "NOT_FOUND", "NOT_FOUND", "no axis 'age'"),
        (pb.EditRequest(model="models/meter", sources=[seed(1)]), "FAILED_PRECONDITION", "WRONG_TASK", "models/meter is of TASK_CLASSIFY"),
        (pb.EditRequest(model=PAINT, sources=[seed(1)], controls={"truncation": 0.7}), "FAILED_PRECONDITION", "CONTROL_NOT_SUPPORTED", "models/paint has no truncation"),
        (pb.EditRequest(model=PAINT, sources=[seed(1)], controls={"caption": "a bird"}), "FAILED_PRECONDITION", "CONTROL_NOT_SUPPORTED", "models/paint has no caption"),
        (pb.EditRequest(model=PAINT, sources=[seed(1)], controls={"classes": [{"index": 3}]}), "FAILED_PRECONDITION", "CONTROL_NOT_SUPPORTED", "models/paint has no classes"),
        (pb.EditRequest(model=PAINT, sources=[image_pb2.Source(latent={"space": 2, "values": [1] * 4})]), "FAILED_PRECONDITION", "SPACE_NOT_SUPPORTED", "takes no SPACE_W latents"),
        (pb.EditRequest(model=PAINT, sources=[image_pb2.Source(recipe={"model": "models/other", "seed": 1})]), "FAILED_PRECONDITION", "WRONG_MODEL", "is of models/other"),
        (pb.EditRequest(model=PAINT, sources=[image_pb2.Source(recipe={"model": PAINT, "seed": 1, "weights_digest": "sha256:0"})]), "FAILED_PRECONDITION", "WEIGHTS_DIFFER", "was made with the weights sha256:0"),
        (pb.EditRequest(model=PAINT, sources=[image_pb2.Source(recipe={"model": PAINT, "seed": 1, "sampler_version": 99})]), "FAILED_PRECONDITION", "SAMPLER_DIFFERS", "made with sampler 99"),
    ],
)  # fmt: skip
async def test_what_a_model_cannot_do_is_refused_by_name(
    gateway: Gateway, request_: pb.EditRequest, code: str, reason: str, message: str
) -> None:
    told = await refused(gateway.generation.Edit(request_))
    assert (told.code.name, told.reason) == (code, reason)
    assert message in told.message
    assert gateway.backend.batches == []


async def test_recipes_that_would_break_their_own_limits_are_refused_before_inference(gateway: Gateway) -> None:
    applied = image_pb2.AppliedEdit(edit=edit({"axis": "red", "steps": 0.01}))
    full = image_pb2.Source(recipe=image_pb2.Recipe(model=PAINT, seed=1, edits=[applied] * 64))
    again = pb.GenerateRequest(model=PAINT, sources=[full])
    assert len((await gateway.generation.Generate(again)).images) == 1
    batches = len(gateway.backend.batches)
    once_more = pb.EditRequest(model=PAINT, sources=[full], edit=edit({"axis": "red", "steps": 1}))
    told = await refused(gateway.generation.Edit(once_more))
    assert told.violations == {"sources[0]": "its recipe would have 65 edits, and the limit is 64"}
    told = await refused(gateway.generation.Generate(pb.GenerateRequest(model=PAINT, sources=[full] * 17)))
    assert told.violations == {"sources": "recipes with 1088 edits in all, and the limit is 1024"}
    assert len(gateway.backend.batches) == batches


async def test_recipes_nested_too_deep_are_refused(gateway: Gateway) -> None:
    source = seed(1)
    for _ in range(6):
        way = image_pb2.Interpolation(start=source, end=seed(2), position=0.5)
        source = image_pb2.Source(recipe=image_pb2.Recipe(model=PAINT, interpolation=way))
    told = await refused(gateway.generation.Edit(pb.EditRequest(model=PAINT, sources=[source])))
    assert told.code == grpc.StatusCode.INVALID_ARGUMENT
    assert any("nested deeper than 4" in text for text in told.violations.values())


async def test_a_message_over_the_limit_is_refused_and_the_next_is_served(gateway: Gateway) -> None:
    huge = pb.GenerateRequest(model=PAINT, request_id="x" * (4 * 2**20 + 1))
    told = await refused(gateway.generation.Generate(huge))
    assert told.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len((await gateway.generation.Generate(pb.GenerateRequest(model=PAINT))).images) == 1


async def test_more_than_fits_in_flight_is_refused_with_a_time_to_try_again(gateway: Gateway) -> None:
    with gateway.admission.refuse_beyond(1, gateway.admission.bytes.most):
        told = await refused(gateway.generation.Generate(pb.GenerateRequest(model=PAINT)))
    assert (told.code, told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert told.retry_after_s == pytest.approx(0.2)


async def test_what_could_not_be_done_by_its_deadline_is_refused_before_any_work(gateway: Gateway) -> None:
    gateway.backend.delay_s = 0.5
    await gateway.generation.Generate(pb.GenerateRequest(model=PAINT))
    under_way = asyncio.ensure_future(gateway.generation.Generate(pb.GenerateRequest(model=PAINT)))
    await asyncio.sleep(0.1)
    told = await refused(gateway.generation.Generate(pb.GenerateRequest(model=PAINT), timeout=0.3))
    assert (told.code, told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert told.retry_after_s >= 0.5
    await under_way
    assert len(gateway.backend.batches) == 2


async def test_a_lost_backend_is_unavailable_with_a_time_to_try_again(gateway: Gateway) -> None:
    gateway.backend.reachable = False
    told = await refused(gateway.generation.Generate(pb.GenerateRequest(model=PAINT)))
    assert (told.code, told.reason) == (grpc.StatusCode.UNAVAILABLE, "BACKEND_UNREACHABLE")
    assert told.retry_after_s == 1
    gateway.backend.reachable = True
    assert len((await gateway.generation.Generate(pb.GenerateRequest(model=PAINT))).images) == 1


async def test_a_failed_inference_is_internal_with_its_reason(gateway: Gateway) -> None:
    gateway.backend.failure = InferenceFailed("Triton could not run 'paint': no")
    told = await refused(gateway.generation.Generate(pb.GenerateRequest(model=PAINT)))
    assert (told.code, told.reason) == (grpc.StatusCode.INTERNAL, "INFERENCE_FAILED")


async def test_what_nobody_foresaw_is_answered_without_details(gateway: Gateway) -> None:
    def broken(inputs: object) -> dict[str, np.ndarray]:
        raise ZeroDivisionError("secret")

    gateway.backend.models["paint"] = (gateway.backend.models["paint"][0], broken)
    told = await refused(gateway.generation.Generate(pb.GenerateRequest(model=PAINT)))
    assert (told.code, told.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "secret" not in told.message


@pytest.mark.parametrize(
    "method",
    [
        "ModelService/GetModel",
        "GenerationService/StreamGenerate",
        "AnalysisService/StreamAnalyze",
        "TranslationService/StreamTranslate",
    ],
)
async def test_bytes_that_are_no_message_are_the_caller_s_mistake(gateway: Gateway, method: str) -> None:
    # On the wire a unary call is a stream of one message.
    told = await refused(gateway.channel.stream_stream(f"/pellucid.v1.{method}")(iter([b"\xff"]), timeout=10))
    assert (told.code, told.reason, told.fields) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", ["request"])
    assert gateway.admission.calls.used == 0


async def test_a_refusal_reaches_clients_whatever_letters_it_quotes(gateway: Gateway) -> None:
    moves = [{"axis": "\N{GRINNING FACE}" * 200, "steps": 1}] * 20
    told = await refused(gateway.generation.Edit(pb.EditRequest(model=PAINT, sources=[seed(1)], edit=edit(*moves))))
    assert (told.code, told.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert told.fields == [f"edit.moves[{k}].axis" for k in range(8)]
