import dataclasses
import json
from pathlib import Path

import pytest
from google.protobuf import json_format

from pellucid.v1 import axis_pb2, model_pb2
from pellucid_gateway.backends.base import ModelConfig, Served
from pellucid_gateway.backends.fake import FakeBackend, paint
from pellucid_gateway.catalog import Catalog
from pellucid_gateway.errors import BackendUnreachable, ModelUnavailable, NotFound, Refused
from tests.pellucid_gateway import painting


async def catalog_of(backend: FakeBackend, repository: Path) -> Catalog:
    catalog = Catalog(backend, str(repository))
    await catalog.refresh()
    return catalog


STAGE = {"role": "synthesis", "model": "paint", "inputs": ["latent"], "outputs": ["image"]}


def configure(repository: Path, model: str) -> None:
    (repository / model).mkdir()
    (repository / model / "config.pbtxt").touch()


async def test_a_card_gains_what_the_repository_says_of_its_versions(backend: FakeBackend, repository: Path) -> None:
    card = (await catalog_of(backend, repository)).find("models/paint").card
    assert card.state == model_pb2.STATE_AVAILABLE
    assert (card.default_version, card.max_batch_size) == ("1", 16)
    assert [(version.name, version.weights_digest) for version in card.versions] == [("1", painting.WEIGHTS)]
    assert list(card.axes) == [f"models/paint/axes/{name}" for name in ("bare", "glow", "green", "red", "warm")]


async def test_an_unknown_model_or_version_is_not_found_and_the_known_are_named(
    backend: FakeBackend, repository: Path
) -> None:
    catalog = await catalog_of(backend, repository)
    with pytest.raises(NotFound, match="no model 'models/pain'; there are models/meter, models/paint"):
        catalog.serving("models/pain")
    with pytest.raises(NotFound, match="no version of models/paint '2'; there are 1"):
        catalog.serving("models/paint", "2")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"stages": []}, "the card has no stages"),
        ({"stages": [STAGE | {"inputs": ["style"]}]}, r"needs \['style'\], which nothing provides"),
        ({"stages": [STAGE | {"outputs": ["picture"]}]}, r"differ in \['picture'\]"),
        ({"height": 0}, "height 0 and width 8 must be above 0"),
        ({"latent": {"size": 0}}, r"latent\.size 0 must be above 0"),
        ({"latent": {"size": 4, "prior": "PRIOR_TRUNCATED_NORMAL"}}, r"truncation_bound 0\.0 must be at least 0\.1"),
    ],
)
async def test_a_bad_card_makes_its_model_unavailable_and_no_other(
    backend: FakeBackend, repository: Path, fields: dict[str, object], reason: str
) -> None:
    card = json.loads(json_format.MessageToJson(painting.paint_card())) | fields
    parameters = {"pellucid.card": json.dumps(card)}
    backend.models["bad"] = (ModelConfig(painting.specs("latent"), painting.specs("image"), 16, parameters), paint)
    configure(repository, "bad")
    catalog = await catalog_of(backend, repository)
    with pytest.raises(Refused, match=reason):
        catalog.serving("models/bad")
    assert catalog.find("models/bad").card.state == model_pb2.STATE_UNAVAILABLE
    assert catalog.serving("models/paint").version.name == "1"


async def test_a_model_without_its_version_file_is_unavailable(backend: FakeBackend, repository: Path) -> None:
    (repository / "paint" / "1" / "version.json").unlink()
    catalog = await catalog_of(backend, repository)
    with pytest.raises(Refused, match=r"version\.json"):
        catalog.serving("models/paint")
    (repository / "paint" / "1" / "version.json").write_text("{}")
    await catalog.refresh()
    assert catalog.serving("models/paint").version.name == "1"


@pytest.mark.parametrize("parameter", ["{not json", "[]", '{"height": "tall"}'])
async def test_a_card_that_is_no_card_makes_its_model_unavailable(
    backend: FakeBackend, repository: Path, parameter: str
) -> None:
    backend.models["bad"] = (ModelConfig({}, {}, 16, {"pellucid.card": parameter}), paint)
    configure(repository, "bad")
    with pytest.raises(Refused, match="unreadable card"):
        (await catalog_of(backend, repository)).serving("models/bad")


async def test_a_model_without_a_batch_axis_is_refused(backend: FakeBackend, repository: Path) -> None:
    config = painting.config(painting.paint_card())
    backend.models["paint"] = (dataclasses.replace(config, max_batch_size=0), paint)
    with pytest.raises(Refused, match="max_batch_size 0 of 'paint' must be above 0"):
        (await catalog_of(backend, repository)).serving("models/paint")


async def test_a_model_serves_only_the_versions_that_all_its_stages_have(
    backend: FakeBackend, repository: Path
) -> None:
    second = {"role": "upscale", "model": "paint.upscale", "inputs": ["image"], "outputs": ["image"]}
    stages = [STAGE, second]
    backend.models["paint"] = (painting.config(painting.paint_card(stages=stages)), paint)
    with pytest.raises(ModelUnavailable, match=r"no version of all of its stages \(paint, paint\.upscale\) is ready"):
        (await catalog_of(backend, repository)).serving("models/paint")
    backend.models["paint.upscale"] = (ModelConfig(painting.specs("image"), painting.specs("image"), 8), paint)
    configure(repository, "paint.upscale")
    assert (await catalog_of(backend, repository)).serving("models/paint").card.max_batch_size == 8


async def test_a_changed_card_of_the_same_version_is_seen(backend: FakeBackend, repository: Path) -> None:
    catalog = await catalog_of(backend, repository)
    backend.models["paint"] = (painting.config(painting.paint_card(description="new")), paint)
    (repository / "paint" / "config.pbtxt").write_text("changed")
    await catalog.refresh()
    assert catalog.find("models/paint").card.description == "new"


async def test_a_passing_failure_is_forgotten_once_it_has_passed(repository: Path) -> None:
    class Flaky(FakeBackend):
        failing = True

        async def config(self, model: str) -> ModelConfig:
            if self.failing:
                raise ModelUnavailable(model, "still loading")
            return await super().config(model)

    flaky = Flaky(painting.backend().models)
    catalog = await catalog_of(flaky, repository)
    with pytest.raises(ModelUnavailable, match="still loading"):
        catalog.serving("models/paint")
    flaky.failing = False
    await catalog.refresh()
    assert catalog.serving("models/paint").version.name == "1"


async def test_whatever_goes_wrong_with_one_model_the_others_are_read(backend: FakeBackend, repository: Path) -> None:
    (repository / "paint" / "1" / "axes" / "gone.safetensors").symlink_to(repository / "nowhere")
    catalog = await catalog_of(backend, repository)
    assert catalog.serving("models/meter").version.name == "1"
    with pytest.raises(Refused, match=r"gone\.safetensors|nowhere"):
        catalog.serving("models/paint")


async def test_a_model_that_is_not_ready_gives_its_reason(backend: FakeBackend, repository: Path) -> None:
    class Broken(FakeBackend):
        async def served(self) -> list[Served]:
            return [Served("broken", "1", ready=False, reason="out of memory"), *await super().served()]

    configure(repository, "broken")
    catalog = await catalog_of(Broken(backend.models), repository)
    card = catalog.find("models/broken").card
    assert (card.state, card.state_reason) == (model_pb2.STATE_UNAVAILABLE, "out of memory")


async def test_models_without_a_card_are_stages_and_not_listed(backend: FakeBackend, repository: Path) -> None:
    backend.models["paint.mapping"] = (ModelConfig({}, {}, 16), paint)
    configure(repository, "paint.mapping")
    assert list((await catalog_of(backend, repository)).entries) == ["models/meter", "models/paint"]


async def test_stray_directories_that_the_backend_lists_are_no_models(repository: Path) -> None:
    class WithStray(FakeBackend):
        async def served(self) -> list[Served]:
            return [Served("notes", "", ready=False), *await super().served()]

    catalog = await catalog_of(WithStray(painting.backend().models), repository)
    assert list(catalog.entries) == ["models/meter", "models/paint"]


async def test_new_axes_appear_beside_a_version_that_serves(backend: FakeBackend, repository: Path) -> None:
    catalog = await catalog_of(backend, repository)
    before = catalog.serving("models/paint").axes.find("red").axis.axis_set_digest
    later = axis_pb2.Axis(name="red", step_length=2.0)
    painting.write_axes(repository / "paint" / "1" / "axes", "later", [later])
    await catalog.refresh()
    axes = catalog.serving("models/paint").axes
    assert axes.find("red").axis.step_length == 2.0
    assert axes.find("red", before).axis.step_length == 1.0
    with pytest.raises(Refused, match="axis 'red' of the set sha256:0 is not beside this version"):
        axes.find("red", "sha256:0")


@pytest.mark.parametrize("fault", ["weights", "length", "unit", "file", "name", "slope", "axis_weights"])
async def test_axes_that_do_not_fit_are_refused_loudly_and_the_others_serve(
    backend: FakeBackend, repository: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = repository / "paint" / "1" / "axes"
    name = "od d" if fault == "name" else "odd"
    odd = axis_pb2.Axis(name=name, intercept=1, slope=0 if fault == "slope" else 1)
    if fault == "axis_weights":
        odd.weights_digest = f"sha256:{'b' * 64}"
    rows = {"length": [1, 0, 0], "unit": [2, 0, 0, 0]}
    monkeypatch.setitem(painting.UNIT, name, rows.get(fault, [1, 0, 0, 0]))
    weights = {"weights": f"sha256:{'b' * 64}", "axis_weights": None}.get(fault, painting.WEIGHTS)
    file = painting.write_axes(folder, "odd", [odd], weights)
    if fault == "file":
        file.write_bytes(file.read_bytes()[:40])
    axes = (await catalog_of(backend, repository)).serving("models/paint").axes
    assert axes.find("red").axis.name == "red"
    with pytest.raises((Refused, NotFound)):
        axes.find(name)
    other = f"fitted for the weights sha256:{'b' * 64}, and this version has {painting.WEIGHTS}"
    reasons = {
        "weights": other,
        "axis_weights": other,
        "name": "the name 'od d' does not match",
        "slope": "axis 'odd' has step_length 1.0 and slope 0.0",
        "length": "has 3 numbers, and the latent has 4",
        "unit": "is not of unit length",
        "file": "odd.safetensors cannot be read",
    }
    assert reasons[fault] in axes.refused[name]


async def test_axes_that_nobody_vouched_for_are_taken(backend: FakeBackend, repository: Path) -> None:
    file = painting.write_axes(repository / "paint" / "1" / "axes", "imported", [axis_pb2.Axis(name="warm")], None)
    axis = (await catalog_of(backend, repository)).serving("models/paint").axes.find("warm").axis
    assert file.stem == "imported"
    assert not axis.HasField("weights_digest")


async def test_vouched_axes_tell_their_weights(backend: FakeBackend, repository: Path) -> None:
    axis = (await catalog_of(backend, repository)).serving("models/paint").axes.find("red").axis
    assert axis.weights_digest == painting.WEIGHTS


async def test_a_lost_backend_keeps_the_models_listed_as_unavailable_until_it_is_back(
    backend: FakeBackend, repository: Path
) -> None:
    catalog = await catalog_of(backend, repository)
    backend.reachable = False
    await catalog.refresh()
    assert not catalog.reachable
    with pytest.raises(ModelUnavailable, match="the fake backend is switched off"):
        catalog.serving("models/paint")
    backend.reachable = True
    await catalog.refresh()
    assert catalog.serving("models/paint").axes.find("red").axis.name == "red"


async def test_before_the_backend_was_ever_reached_nothing_can_be_said_of_a_model(
    backend: FakeBackend, repository: Path
) -> None:
    backend.reachable = False
    with pytest.raises(BackendUnreachable):
        (await catalog_of(backend, repository)).find("models/paint")


async def test_the_newest_version_is_the_default(repository: Path) -> None:
    class TwoVersions(FakeBackend):
        async def served(self) -> list[Served]:
            return [
                Served("paint", version, ready=version != "3", reason="no file") for version in ("2", "10", "3", "1")
            ]

    for version in ("2", "10"):
        folder = repository / "paint" / version
        folder.mkdir()
        (folder / "version.json").write_text(json.dumps({"name": version, "weightsDigest": f"sha256:{version}"}))
    catalog = await catalog_of(TwoVersions(painting.backend().models), repository)
    card = catalog.find("models/paint").card
    assert card.default_version == "10"
    assert [(v.name, v.state_reason) for v in card.versions] == [("1", ""), ("2", ""), ("10", ""), ("3", "no file")]
    assert catalog.serving("models/paint", "2").version.weights_digest == "sha256:2"
