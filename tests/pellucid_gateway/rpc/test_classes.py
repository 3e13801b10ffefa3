import grpc
import pytest

from pellucid.v1 import model_service_pb2 as pb
from tests.pellucid_gateway import atelier
from tests.pellucid_gateway.conftest import Gateway
from tests.pellucid_gateway.rpc.asking import refused


@pytest.fixture
async def models(gateway: Gateway) -> Gateway:
    atelier.open_for(gateway.backend, gateway.repository)
    await gateway.catalog.refresh()
    return gateway


@pytest.mark.parametrize(
    ("query", "indices"), [("", [0, 1, 2]), ("E", [0, 1, 2]), ("ape GREAT", [0]), ("b", [1]), ("ant", [])]
)
async def test_classes_are_found_by_the_words_in_their_names(models: Gateway, query: str, indices: list[int]) -> None:
    found = await models.models.ListClasses(pb.ListClassesRequest(parent="models/zoo", query=query))
    assert [one.index for one in found.classes] == indices
    assert [one.name for one in found.classes] == [("great ape", "bee", "crane")[k] for k in indices]


async def test_classes_come_in_pages(models: Gateway) -> None:
    request = pb.ListClassesRequest(parent="models/zoo", page_size=2)
    first = await models.models.ListClasses(request)
    request.page_token = first.next_page_token
    second = await models.models.ListClasses(request)
    assert [one.index for one in (*first.classes, *second.classes)] == [0, 1, 2]
    assert not second.next_page_token


async def test_a_model_without_classes_lists_none_and_a_missing_one_is_not_found(models: Gateway) -> None:
    assert not (await models.models.ListClasses(pb.ListClassesRequest(parent="models/paint"))).classes
    told = await refused(models.models.ListClasses(pb.ListClassesRequest(parent="models/nothing")))
    assert told.code == grpc.StatusCode.NOT_FOUND


async def test_a_list_of_models_counts_classes_and_a_card_names_them(models: Gateway) -> None:
    listed = {model.name: model for model in (await models.models.ListModels(pb.ListModelsRequest())).models}
    assert (listed["models/zoo"].classes.count, list(listed["models/zoo"].classes.names)) == (3, [])
    card = (await models.models.GetModel(pb.GetModelRequest(name="models/zoo"))).model
    assert list(card.classes.names) == ["great ape", "bee", "crane"]
