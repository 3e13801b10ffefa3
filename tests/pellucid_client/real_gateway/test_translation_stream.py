"""StreamTranslate on workshop's models, asked for by both faces of the client."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from pellucid_client import (
    AsyncClient,
    Change,
    Client,
    Fit,
    InvalidRequest,
    Remove,
    Scene,
    Style,
    TranslationItem,
    Unsupported,
)
from tests.pellucid_client.faces import got, until_error
from tests.pellucid_client.real_gateway.pictures import INSTANCES, LABELS, flat, png

RAW = {"format": "raw"}


def colours(answers: list[Any]) -> list[list[list[int]]]:
    return [[image.array()[0, 0].tolist() for image in one.images] for one in answers]


async def test_sources_are_answered_in_their_order(client: Any) -> None:
    answers = await got(client.stream_translate("seasons", [flat(k, k, k) for k in range(100)], **RAW))
    assert [one.index for one in answers] == list(range(100))
    assert colours(answers) == [[[255 - k] * 3] for k in range(100)]
    assert all(one.error is None for one in answers)


async def test_without_an_order_all_are_answered_under_their_numbers(client: Any) -> None:
    sources = [*(flat(k, k, k) for k in range(50)), b"rubbish", np.zeros((2, 2)), flat(9, 9, 9)]
    answers = await got(client.stream_translate("seasons", sources, unordered=True, **RAW))
    answers.sort(key=lambda one: one.index)
    assert [one.index for one in answers] == list(range(53))
    assert [one.index for one in answers if one.error] == [50, 51]
    assert colours(answers[:50]) == [[[255 - k] * 3] for k in range(50)]


async def test_a_source_that_fails_has_an_error_of_its_own(client: Any, tmp_path: Path) -> None:
    sources = [
        np.zeros((4, 4, 3)),
        flat(1, 1, 1),
        b"rubbish",
        tmp_path / "missing.png",
        Scene(LABELS, INSTANCES),
        "picture.png",
        flat(2, 2, 2),
        tmp_path,
    ]
    answers = await got(client.stream_translate("seasons", sources, **RAW))
    assert [one.index for one in answers] == list(range(8))
    assert colours(answers) == [[], [[254] * 3], [], [], [], [], [[253] * 3], []]
    told = {one.index: str(one.error) for one in answers if one.error is not None}
    assert all(isinstance(answers[index].error, InvalidRequest) for index in told)
    assert "float64 (4, 4, 3) are no uint8 pixels" in told[0]
    assert "7 bytes are no readable JPEG, PNG or WebP" in told[2]
    assert told[3].startswith("sources[3]: ")
    assert "missing.png" in told[3]
    assert "takes an image" in told[4]
    assert "str is no image" in told[5]
    assert answers[7].error.violations[0].field == "sources[7]"


async def test_only_bad_sources_are_answered_too(client: Any) -> None:
    answers = await got(client.stream_translate("seasons", [np.zeros(3), np.zeros(4)]))
    assert [(one.index, type(one.error)) for one in answers] == [(0, InvalidRequest), (1, InvalidRequest)]
    assert await got(client.stream_translate("seasons", [])) == []


async def test_items_have_labels_and_targets_of_their_own(client: Any) -> None:
    black = flat(0, 0, 0)
    items = [
        TranslationItem(black, {"dark": 1}),
        TranslationItem(black, {"fair": True, "hat": True}),
        TranslationItem(black, {"dark": 1}, to=Change("wild", of="moods")),
        TranslationItem(black, {"dark": 1}, to=["fair", {"dark": 0}]),
        black,
    ]
    answers = await got(client.stream_translate("barber", items, ["hat"], **RAW))
    assert colours(answers) == [[[10, 0, 30]], [[0, 20, 0]], [[100] * 3], [[0, 20, 0], [0, 0, 0]], [[10, 0, 30]]]
    assert [image.target for image in answers[3].images] == [0, 1]


async def test_items_have_directions_looks_and_dropout_of_their_own(client: Any) -> None:
    there = TranslationItem(flat(55, 55, 55), direction="summer2winter", cycle=True)
    answers = await got(client.stream_translate("seasons", [flat(9, 9, 9), there], direction="winter2summer", **RAW))
    assert colours(answers) == [[[4] * 3], [[200] * 3]]
    assert [one.images[0].mean_error for one in answers] == [None, 45]
    scene = Scene(LABELS, INSTANCES)
    looks = [
        scene,
        TranslationItem(scene, style=Style(clusters={1000: 3})),
        TranslationItem(scene, style=Style(seed=4)),
    ]
    answers = await got(client.stream_translate("town", looks, style=Style(clusters={1000: 0}), fit="keep", **RAW))
    [drawn] = await got(client.translate("town", scene, style=Style(seed=4), fit="keep", **RAW))
    assert [one.images[0].array()[1, 1, 2] for one in answers] == [100, 250, drawn.array()[1, 1, 2]]
    lace = [TranslationItem(flat(9, 9, 9, height=4, width=4), dropout_seed=5), flat(9, 9, 9, height=4, width=4)]
    dropped, kept = await got(client.stream_translate("lace", lace, **RAW))
    assert (dropped.images[0].array().min(), kept.images[0].array().min()) == (0, 9)


async def test_scenes_are_edited_in_a_stream(client: Any) -> None:
    scenes = [Scene(LABELS, INSTANCES), Scene(LABELS, INSTANCES, [Remove(1000)]), Scene(LABELS, INSTANCES, [Remove(1)])]
    answers = await got(client.stream_translate("town", scenes, fit="keep", **RAW))
    assert [int((one.images[0].array()[:, :, 0] == 50).sum()) if one.images else -1 for one in answers] == [4, 0, -1]
    assert "no instance 1" in str(answers[2].error)


async def test_all_domains_and_fits_hold_for_the_whole_stream(client: Any) -> None:
    items = [TranslationItem(flat(0, 0, 0), {"dark": 1})]
    [answer] = await got(client.stream_translate("barber", items, all_domains=True, fit=Fit("resize", 4, 4), **RAW))
    assert colours([answer]) == [[[10, 0, 0], [0, 20, 0], [10, 0, 30], [100] * 3, [100] * 3]]
    assert {image.array().shape for image in answer.images} == {(4, 4, 3)}


async def test_images_and_translations_may_be_larger_than_a_message(client: Any) -> None:
    rng = np.random.default_rng(0)
    large = [rng.integers(0, 256, (1300, 1300, 3), dtype=np.uint8) for _ in range(2)]
    answers = await got(
        client.stream_translate("seasons", [large[0], flat(1, 1, 1), large[1]], direction=["summer2winter"] * 2, **RAW)
    )
    for answer, source in zip(answers, (large[0], flat(1, 1, 1), large[1]), strict=True):
        assert len(answer.images) == 2
        assert all(np.array_equal(image.array(), 255 - source) for image in answer.images)


async def test_a_large_image_that_is_refused_does_not_disturb_the_next(client: Any) -> None:
    answers = await got(client.stream_translate("lace", [bytes(3 * 2**20), flat(7, 7, 7, height=4, width=4)], **RAW))
    assert isinstance(answers[0].error, InvalidRequest)
    assert colours(answers[1:]) == [[[7] * 3]]


async def test_maps_beyond_a_message_are_that_source_s_error(client: Any) -> None:
    instances = np.random.default_rng(0).integers(2**31, 2**32, (1100, 1100))
    scenes = [Scene(np.zeros((1100, 1100), np.uint8), instances), Scene(LABELS, INSTANCES)]
    answers = await got(client.stream_translate("town", scenes, fit="keep", **RAW))
    assert "is above the limit of 4194304; maps and examples are smaller as PNG" in str(answers[0].error)
    assert answers[1].error is None


async def test_sources_are_taken_as_they_are_needed(client: Any) -> None:
    taken = 0

    def sources() -> Iterator[Any]:
        nonlocal taken
        for _ in range(3000):
            taken += 1
            yield flat(1, 2, 3, height=64, width=64)

    stream = client.stream_translate("seasons", sources(), **RAW)
    first = await anext(stream) if hasattr(stream, "__anext__") else next(stream)
    assert first.index == 0
    assert taken < 2500
    await got(stream.aclose()) if hasattr(stream, "aclose") else stream.close()


async def test_an_error_of_the_callers_own_sources_comes_after_the_answers(client: Any) -> None:
    def sources() -> Iterator[Any]:
        yield flat(1, 1, 1)
        raise ValueError("mine")

    answers, error = await until_error(client.stream_translate("seasons", sources(), **RAW))
    assert colours(answers) == [[[254] * 3]]
    assert repr(error) == "ValueError('mine')"


async def test_a_model_that_does_not_translate_ends_the_stream(client: Any) -> None:
    with pytest.raises(Unsupported, match="models/paint"):
        await got(client.stream_translate("paint", [flat(1, 1, 1)]))
    with pytest.raises(InvalidRequest, match="not together with targets"):
        await got(client.stream_translate("barber", [flat(1, 1, 1)], "hat", all_domains=True))


async def test_files_are_read_outside_the_event_loop(target: str, tmp_path: Path) -> None:
    class Watched(type(tmp_path)):
        def read_bytes(self) -> bytes:
            readers.append(threading.current_thread())
            return bytes(super().read_bytes())

    readers: list[threading.Thread] = []
    PIL.Image.fromarray(flat(4, 4, 4)).save(tmp_path / "picture.png")
    (tmp_path / "labels.png").write_bytes(png(LABELS))
    async with AsyncClient(target) as client:
        scene = Scene(Watched(tmp_path / "labels.png"), INSTANCES)
        _ = [one async for one in client.stream_translate("town", [scene], fit="keep")]
        [one] = [one async for one in client.stream_translate("seasons", [Watched(tmp_path / "picture.png")], **RAW)]
    assert colours([one]) == [[[251] * 3]]
    assert len(readers) == 2
    assert threading.current_thread() not in readers


def test_a_stream_may_translate_what_the_same_client_makes(target: str) -> None:
    with Client(target) as client:
        there = client.stream_translate("seasons", (flat(k, k, k) for k in range(30)), **RAW)
        back = client.stream_translate("seasons", (one.images[0] for one in there), **RAW)
        assert colours(list(back)) == [[[k] * 3] for k in range(30)]
