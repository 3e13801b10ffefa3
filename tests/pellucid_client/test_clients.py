import inspect
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import pellucid_client
from pellucid.v1 import model_pb2
from pellucid_client import (
    AsyncClient,
    Client,
    Controls,
    Distance,
    InvalidRequest,
    Latent,
    NotFound,
    Steps,
    StyleMix,
    Sweep,
    Target,
    Unavailable,
)
from tests.pellucid_client.faces import got
from tests.pellucid_client.faults import Fault
from tests.pellucid_client.servicers import ToyGateway


def colours(images: list[Any]) -> list[tuple[int, ...]]:
    return [tuple(int(value) for value in image.array()[0, 0]) for image in images]


async def test_a_seed_gives_its_image_with_its_recipe(client: Any) -> None:
    [image] = await got(client.generate("toy", seed=7, format="png"))
    assert colours([image]) == [(7, 100, 100)]
    assert (image.seed, image.model, image.format, image.index) == (7, "models/toy", "png", 0)


async def test_seeds_counts_and_latents_give_an_image_each_in_order(client: Any) -> None:
    seeds = await got(client.generate("toy", seeds=[9, 3], format="raw"))
    count = await got(client.generate("toy", first_seed=2**64 - 1, count=3, format="webp"))
    several = await got(client.generate("toy", latents=np.array([[5.0, 1, 2], [6, -1, 0]]), format="png"))
    one = await got(client.generate("toy", latents=np.array([8.0, 0, 0]), format="png"))
    assert colours(seeds) == [(9, 100, 100), (3, 100, 100)]
    assert colours(count) == [(255, 100, 100), (0, 100, 100), (1, 100, 100)]
    assert colours(several) == [(5, 110, 120), (6, 90, 100)]
    assert colours(one) == [(8, 100, 100)]


async def test_a_random_seed_is_drawn_by_the_client(client: Any, gateway: ToyGateway) -> None:
    [image] = await got(client.generate("toy"))
    assert gateway.requests[0].seeds.HasField("first")
    assert image.seed == gateway.requests[0].seeds.first


async def test_an_edit_moves_what_is_not_locked(client: Any) -> None:
    [face] = await got(client.generate("toy", seed=7))
    [free] = await got(client.edit(face, {"happiness": 2}, format="png"))
    [locked] = await got(client.edit(face, {"happiness": Steps(2)}, locks=["masculine"], format="png"))
    [twice] = await got(client.edit(locked, {"masculine": 3}, format="png"))
    assert colours([free, locked, twice]) == [(7, 120, 110), (7, 120, 100), (7, 120, 130)]
    assert [(move.axis, move.steps) for move in free.axis_moves] == [("happiness", 2)]


async def test_an_edit_of_an_image_is_asked_of_the_version_that_made_it(client: Any, gateway: ToyGateway) -> None:
    [face] = await got(client.generate("toy", seed=7))
    await got(client.edit([3, face], {"happiness": 1}))
    assert (gateway.requests[-1].model, gateway.requests[-1].version) == ("models/toy", "1")


async def test_a_sweep_gives_all_amounts_of_a_source_before_the_next(client: Any) -> None:
    images = await got(client.edit([1, 2], sweep=Sweep("masculine", [-1, 2]), model="toy", format="png"))
    assert colours(images) == [(1, 100, 90), (1, 100, 120), (2, 100, 90), (2, 100, 120)]


async def test_moves_carry_their_units(client: Any, gateway: ToyGateway) -> None:
    sweep = Sweep("age", [20, 40], unit=Target)
    await got(client.edit(1, {"a": 1, "b": Target(0.9), "c": Distance(0.4)}, sweep=sweep, model="toy"))
    moves = gateway.requests[-1].edit.moves
    assert [(m.axis, m.WhichOneof("amount")) for m in moves] == [
        ("a", "steps"),
        ("b", "target"),
        ("c", "distance"),
    ]
    assert [moves[0].steps, moves[1].target, moves[2].distance] == [1, 0.9, 0.4]
    assert (gateway.requests[-1].sweep.unit, [*gateway.requests[-1].sweep.amounts]) == (2, [20, 40])


async def test_streams_give_images_in_order(client: Any) -> None:
    made = await got(client.stream_generate("toy", first_seed=10, count=200, format="raw"))
    assert [image.array()[0, 0, 0] for image in made] == list(range(10, 210))
    assert [image.index for image in made] == list(range(200))
    edits = await got(client.stream_edit(range(5), {"happiness": 1}, locks=["masculine"], model="toy", format="raw"))
    assert colours(edits) == [(seed, 110, 100) for seed in range(5)]


async def test_a_walk_passes_its_key_frames(client: Any) -> None:
    frames = await got(client.interpolate(0, 8, 4, frames=4, model="toy", format="png"))
    assert [colour[0] for colour in colours(frames)] == [0, 2, 4, 6, 8, 7, 6, 5, 4]


async def test_the_latent_comes_when_it_is_asked_for(client: Any) -> None:
    [without] = await got(client.generate("toy", seed=7))
    [image] = await got(client.generate("toy", seed=7, include_latent=True))
    assert without.latent is None
    assert (image.latent.space, image.latent.values.tolist()) == ("z", [7.0, 0.0, 0.0])
    [again] = await got(client.generate("toy", latents=image.latent, format="png"))
    assert colours([again]) == [(7, 100, 100)]


async def test_options_reach_the_gateway(client: Any, gateway: ToyGateway) -> None:
    controls = Controls(
        classes={"cat": 0.25, 3: 0.75},
        caption="a cat",
        truncation=0.7,
        truncation_cutoff=8,
        style_mixes=[StyleMix(5, 0, 3)],
        noise_strength=0.5,
        noise_seed=1,
    )
    await got(
        client.generate(
            "models/toy", seed=1, quality=50, version="3", priority="bulk", request_id="me", controls=controls
        )
    )
    request = gateway.requests[-1]
    assert (request.model, request.version, request.request_id) == ("models/toy", "3", "me")
    assert (request.priority, request.output.format, request.output.quality) == (2, 1, 50)
    weights = [(one.name, one.index, one.weight) for one in request.controls.classes]
    assert weights == [("cat", 0, 0.25), ("", 3, 0.75)]
    assert (request.controls.caption, request.controls.truncation) == ("a cat", 0.7)
    assert (request.controls.truncation_cutoff, request.controls.noise_seed) == (8, 1)
    mix = request.controls.style_mixes[0]
    assert (mix.source.seed, mix.layers.first, mix.layers.last) == (5, 0, 3)
    assert request.controls.noise_strength == 0.5


async def test_controls_that_were_not_given_are_absent(client: Any, gateway: ToyGateway) -> None:
    await got(client.generate("toy", seed=1))
    assert not gateway.requests[-1].HasField("controls")
    assert len(gateway.requests[-1].request_id) == 36


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"seed": 1, "count": 2}, "sources"),
        ({"seeds": [1], "latents": np.zeros(3)}, "sources"),
        ({"seed": -1}, "seed"),
        ({"seeds": [2**64]}, "seed"),
        ({"seeds": ["7"]}, "seeds"),
        ({"latents": np.zeros((1, 2, 3))}, "latents"),
        ({"seeds": []}, "seeds"),
        ({"seeds": range(0)}, "seeds"),
        ({"seeds": range(2**64 - 1, 2**64 + 1)}, "seed"),
        ({"latents": np.zeros((0, 3))}, "latents"),
        ({"latents": np.array([])}, "latents"),
        ({"latents": []}, "latents"),
        ({"seed": 1, "format": "gif"}, "format"),
        ({"seed": 1, "priority": "urgent"}, "priority"),
        ({"seed": 1, "sampler": "numpy"}, "sampler"),
        ({"latents": Latent(np.zeros(3), "W")}, "space"),
        ({"sources": []}, "sources"),
    ],
)
async def test_a_bad_argument_is_refused_before_the_call(
    client: Any, gateway: ToyGateway, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await got(client.generate("toy", **given))
    assert caught.value.violations[0].field == field
    assert gateway.requests == []


async def test_an_edit_of_nothing_is_refused_before_the_call(client: Any, gateway: ToyGateway) -> None:
    for call in (client.edit, client.stream_edit):
        with pytest.raises(InvalidRequest, match="sources: there is none"):
            await got(call([], {"happiness": 1}, model="toy"))
    assert gateway.requests == []


async def test_what_is_too_large_for_a_message_is_refused_before_the_call(client: Any, gateway: ToyGateway) -> None:
    latents = np.zeros((5000, 512), dtype=np.float32)
    for call in (client.generate, client.stream_generate):
        with pytest.raises(InvalidRequest, match="is above the limit of 4194304; ask in several calls"):
            await got(call("toy", latents=latents))
    assert gateway.requests == []


async def test_an_axis_is_locked_once(client: Any, gateway: ToyGateway) -> None:
    await got(client.edit(1, {"happiness": 1}, locks=["b", "a", "b"], model="toy"))
    await got(client.edit(1, {"happiness": 1}, locks="a", model="toy"))
    assert [list(request.edit.locks) for request in gateway.requests] == [["b", "a"], ["a"]]


async def test_an_edit_of_a_seed_needs_a_model(client: Any) -> None:
    with pytest.raises(InvalidRequest, match="model: is needed"):
        await got(client.edit(7, {"happiness": 1}))


async def test_an_unknown_option_is_a_type_error(client: Any) -> None:
    with pytest.raises(TypeError, match="unexpected qualty"):
        await got(client.generate("toy", seed=1, qualty=3))


async def test_lists_are_read_to_their_last_page(client: Any, gateway: ToyGateway) -> None:
    gateway.page_size = 1
    assert [model.name for model in await got(client.models())] == ["models/labels", "models/toy"]
    assert [m.name for m in await got(client.models(model_pb2.TASK_GENERATE))] == ["models/toy"]
    assert len(await got(client.axes("toy"))) == 6
    assert await got(client.classes("toy")) == [(k, f"breed {k}") for k in range(10)]
    assert await got(client.classes("toy", "7")) == [(7, "breed 7")]


async def test_a_model_and_an_axis_are_found_by_short_names(client: Any) -> None:
    assert (await got(client.model("toy"))).display_name == "Toy"
    assert (await got(client.axis("toy/happiness"))).quantity == "happiness"
    assert (await got(client.axis("models/toy/axes/masculine"))).quantity == "masculine"
    with pytest.raises(InvalidRequest, match="'happiness' is neither"):
        await got(client.axis("happiness"))
    with pytest.raises(NotFound):
        await got(client.model("other"))


async def test_ready_is_when_the_model_is_available(client: Any, gateway: ToyGateway) -> None:
    await got(client.wait_ready("toy", timeout_s=5))
    gateway.state = model_pb2.STATE_UNAVAILABLE
    await got(client.wait_ready(timeout_s=5))
    with pytest.raises(Unavailable, match="models/toy is not available: still loading"):
        await got(client.wait_ready("toy", timeout_s=0.3))
    with pytest.raises(NotFound):
        await got(client.wait_ready("other", timeout_s=0.3))


async def test_a_gateway_that_is_not_there_is_unavailable() -> None:
    async with AsyncClient("127.0.0.1:9") as client:
        with pytest.raises(Unavailable):
            await client.wait_ready(timeout_s=0.3)


def test_the_key_and_the_metadata_are_sent(gateway: ToyGateway, target: str) -> None:
    with Client(target, api_key="secret", metadata=[("x-team", "faces")]) as client:
        client.models()
    assert gateway.metadata[0]["authorization"] == "Bearer secret"
    assert gateway.metadata[0]["x-team"] == "faces"


def test_a_closed_client_says_so(target: str) -> None:
    client = Client(target)
    client.models()
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="the client is closed"):
        client.models()


def test_a_client_that_is_closed_lets_go_of_a_call_between_its_attempts(gateway: ToyGateway, target: str) -> None:
    gateway.faults.append(Fault(retry_after_s=20))
    client = Client(target)
    with ThreadPoolExecutor(1) as others:
        waiting = others.submit(lambda: client.generate("toy", seed=1))
        while not gateway.requests:
            time.sleep(0.01)
        client.close()
        with pytest.raises(CancelledError):
            waiting.result(10)


def test_both_faces_have_the_same_methods_signatures_and_documentation() -> None:
    def public(face: type) -> dict[str, Any]:
        members = inspect.getmembers(face, inspect.isfunction)
        return {name: member for name, member in members if not name.startswith("_") and name != "close"}

    blocking, asynchronous = public(Client), public(AsyncClient)
    assert blocking.keys() == asynchronous.keys()
    for name, member in asynchronous.items():
        assert inspect.signature(blocking[name]) == inspect.signature(member)
        assert blocking[name].__doc__ == member.__doc__


def test_the_public_names_are_these() -> None:
    assert set(pellucid_client.__all__) == {
        *("Client", "AsyncClient", "RetryPolicy", "Image", "Rendition", "AttentionMap", "Latent", "Analysis"),
        *("Controls", "StyleMix", "Steps", "Target", "Distance", "Sweep"),
        *("Translation", "Translated", "TranslationItem", "Change", "Style", "Fit"),
        *("Scene", "Relabel", "Remove", "Paste"),
        *("PellucidError", "InvalidRequest", "NotFound", "Unsupported", "Denied", "Transient", "Overloaded"),
        *("Unavailable", "DeadlineExceeded", "Cancelled", "Internal", "Violation"),
    }
    assert all(
        getattr(pellucid_client, name).__module__.startswith("pellucid_client") for name in pellucid_client.__all__
    )
