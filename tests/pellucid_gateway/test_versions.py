"""Which version of a model answers: newest, weighted, or the one that an earlier image was made with."""

import dataclasses
import json
from collections import Counter
from pathlib import Path

import pytest

from pellucid.v1 import generation_service_pb2 as pb
from pellucid.v1 import image_pb2
from pellucid_gateway.backends.base import Served
from pellucid_gateway.backends.fake import FakeBackend
from pellucid_gateway.catalog import Catalog
from pellucid_gateway.errors import NotFound, Refused
from pellucid_gateway.rpc import convert
from tests.pellucid_gateway import painting

PAINT = "models/paint"
IDS = [f"request-{k}" for k in range(400)]


class Shared(FakeBackend):
    """A backend of several replicas, `shares` of which have each version of `paint`."""

    def __init__(self) -> None:
        super().__init__(painting.backend().models)
        self.shares: dict[str, float] = {}

    async def served(self) -> list[Served]:
        listed = await super().served()
        return [dataclasses.replace(one, share=self.shares.get(one.version, 1.0)) for one in listed]


@pytest.fixture
def shared() -> Shared:
    return Shared()


@pytest.fixture
async def catalog(shared: Shared, repository: Path) -> Catalog:
    for version in ("2", "3"):
        (repository / "paint" / version).mkdir()
        (repository / "paint" / version / "version.json").write_text(json.dumps({"name": version}))
    shared.versions["paint"] = ("1", "2", "3")
    made = Catalog(shared, str(repository))
    await made.refresh()
    return made


def chosen(catalog: Catalog, version: str = "") -> Counter[str]:
    return Counter(catalog.serving(PAINT, version, one).version.name for one in IDS)


async def test_without_weights_the_newest_version_serves(catalog: Catalog) -> None:
    assert chosen(catalog) == {"3": 400}
    assert catalog.find(PAINT).card.default_version == "3"


async def test_a_version_is_no_default_before_most_replicas_have_it(catalog: Catalog, shared: Shared) -> None:
    shared.shares = {"3": 0.5}
    await catalog.refresh()
    assert chosen(catalog) == {"2": 400}
    assert catalog.serving(PAINT, "3").version.name == "3"
    shared.shares = {}
    await catalog.refresh()
    assert chosen(catalog) == {"3": 400}


async def test_weights_share_out_the_requests_that_name_no_version(catalog: Catalog) -> None:
    await catalog.weigh(PAINT, {"1": 300, "2": 100})
    counts = chosen(catalog)
    assert counts.keys() == {"1", "2"}
    assert counts["2"] == pytest.approx(100, abs=30)
    assert chosen(catalog, "3") == {"3": 400}
    card = catalog.find(PAINT).card
    assert (dict(card.version_weights), card.default_version) == ({"1": 300, "2": 100}, "1")
    assert catalog.serving(PAINT).version.name == "1"


async def test_weights_outlive_the_gateway_and_end_when_they_are_taken_back(
    catalog: Catalog, shared: Shared, repository: Path
) -> None:
    await catalog.weigh(PAINT, {"1": 1})
    other = Catalog(shared, str(repository))
    await other.refresh()
    assert chosen(other) == {"1": 400}
    await catalog.weigh(PAINT, {})
    await other.refresh()
    assert chosen(catalog) == chosen(other) == {"3": 400}


async def test_weights_of_versions_that_do_not_serve_are_refused(catalog: Catalog) -> None:
    with pytest.raises(NotFound, match="no version of models/paint '4'; there are 1, 2, 3"):
        await catalog.weigh(PAINT, {"1": 1, "4": 1})
    assert chosen(catalog) == {"3": 400}


async def test_a_version_whose_files_cannot_be_read_leaves_the_others_serving(
    catalog: Catalog, repository: Path
) -> None:
    (repository / "paint" / "3" / "version.json").unlink()
    await catalog.refresh()
    assert chosen(catalog) == {"2": 400}
    [told] = [one for one in catalog.find(PAINT).card.versions if one.name == "3"]
    assert "unreadable version: " in told.state_reason
    for version in ("1", "2"):
        (repository / "paint" / version / "version.json").write_text("{not json")
    await catalog.refresh()
    with pytest.raises(Refused, match=r"version\.json"):
        catalog.serving(PAINT)


async def test_a_reload_loads_a_model_and_its_other_stages(catalog: Catalog, shared: Shared) -> None:
    await catalog.reload(PAINT)
    assert shared.loads == ["paint"]
    with pytest.raises(NotFound, match="no model 'models/none'"):
        await catalog.reload("models/none")


@pytest.mark.parametrize(("model", "named", "version"), [(PAINT, "", "1"), (PAINT, "3", "3"), ("models/meter", "", "")])
def test_what_goes_on_from_an_earlier_image_is_for_its_version(model: str, named: str, version: str) -> None:
    recipe = image_pb2.Recipe(model=PAINT, version="1", seed=1)
    request = pb.GenerateRequest(model=model, version=named, sources=[image_pb2.Source(recipe=recipe)], request_id="r")
    job = convert.generate(request, None, bulk=False)
    assert (job.version, job.request_id) == (version, "r")


def test_seeds_are_for_no_version() -> None:
    assert convert.generate(pb.GenerateRequest(model=PAINT), None, bulk=False).version == ""
