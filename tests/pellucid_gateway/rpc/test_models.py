import grpc
import pytest

from pellucid.v1 import model_pb2
from pellucid.v1 import model_service_pb2 as pb
from tests.pellucid_gateway import painting
from tests.pellucid_gateway.conftest import Gateway
from tests.pellucid_gateway.rpc.refusals import refusal


async def test_models_are_listed_by_name_as_summaries(gateway: Gateway) -> None:
    answer = await gateway.models.ListModels(pb.ListModelsRequest())
    assert [(model.name, model.state) for model in answer.models] == [
        ("models/meter", model_pb2.STATE_AVAILABLE),
        ("models/paint", model_pb2.STATE_AVAILABLE),
    ]
    assert [len(model.versions) + len(model.axes) for model in answer.models] == [0, 0]


async def test_models_can_be_listed_by_task(gateway: Gateway) -> None:
    answer = await gateway.models.ListModels(pb.ListModelsRequest(task=model_pb2.TASK_CLASSIFY))
    assert [model.name for model in answer.models] == ["models/meter"]


async def test_a_model_comes_with_its_whole_card(gateway: Gateway) -> None:
    model = (await gateway.models.GetModel(pb.GetModelRequest(name="models/paint"))).model
    assert (model.latent.size, model.versions[0].weights_digest, len(model.axes)) == (4, painting.WEIGHTS, 5)


async def test_pages_of_axes_make_the_whole_list(gateway: Gateway) -> None:
    names, token = [], ""
    while True:
        request = pb.ListAxesRequest(parent="models/paint", page_size=2, page_token=token)
        answer = await gateway.models.ListAxes(request)
        names.append([axis.name.removeprefix("models/paint/axes/") for axis in answer.axes])
        token = answer.next_page_token
        if not token:
            break
    assert names == [["bare", "glow"], ["green", "red"], ["warm"]]


async def test_an_axis_comes_with_its_facts_and_says_what_it_does_not_know(gateway: Gateway) -> None:
    known, unknown = [
        (await gateway.models.GetAxis(pb.GetAxisRequest(name=f"models/paint/axes/{name}"))).axis
        for name in ("green", "bare")
    ]
    assert (known.intercept, known.slope, known.linear_range_steps, known.axis_set) == (10, 5, 3, "colours")
    assert not unknown.HasField("slope")
    assert known.name == "models/paint/axes/green"


@pytest.mark.parametrize(
    ("method", "request_", "code", "message"),
    [
        ("GetModel", pb.GetModelRequest(name="models/nobody"), "NOT_FOUND", "no model 'models/nobody'"),
        ("GetModel", pb.GetModelRequest(name="nobody"), "INVALID_ARGUMENT", "'nobody'"),
        ("GetAxis", pb.GetAxisRequest(name="models/paint/axes/age"), "NOT_FOUND", "no axis 'age'"),
        ("GetAxis", pb.GetAxisRequest(name="models/paint"), "INVALID_ARGUMENT", "'models/paint'"),
        ("ListAxes", pb.ListAxesRequest(parent="models/paint", version="9"), "NOT_FOUND", "'9'"),
        ("ListModels", pb.ListModelsRequest(page_size=-1), "INVALID_ARGUMENT", "and it is -1"),
        ("ListModels", pb.ListModelsRequest(page_token="%%%"), "INVALID_ARGUMENT", "'%%%' is not a token"),
    ],
)
async def test_what_is_not_there_is_said_by_name(
    gateway: Gateway, method: str, request_: object, code: str, message: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(gateway.models, method)(request_)
    told = refusal(caught.value)
    assert told.code.name == code
    assert message in told.message
