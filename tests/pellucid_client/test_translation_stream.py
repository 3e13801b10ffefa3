"""Streams of translations that break, or are answered against the contract."""

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from pellucid.v1 import translation_service_pb2 as pb
from pellucid_client import DeadlineExceeded, Internal, Unavailable
from tests.pellucid_client.faces import got, until_error
from tests.pellucid_client.faults import Fault
from tests.pellucid_client.servicers import ToyGateway

LOST = Fault(grpc.StatusCode.UNAVAILABLE)


def pixels(k: int) -> Any:
    return np.full((1, 2, 3), k, np.uint8)


def levels(answers: list[Any]) -> list[tuple[int, int | None]]:
    return [(one.index, int(one.images[0].array()[0, 0, 0]) if one.images else None) for one in answers]


def answer(index: int, *images: pb.TranslatedImage, last: bool = True) -> pb.StreamTranslateResponse:
    return pb.StreamTranslateResponse(index=index, images=pb.TranslatedImages(images=images), last=last)


def image(target: int = 0, data: bytes = b"abc", size: int = 3) -> pb.TranslatedImage:
    return pb.TranslatedImage(target=target, data=data, data_size=size)


async def test_a_broken_stream_of_a_sequence_goes_on_with_the_first_unanswered(
    client: Any, gateway: ToyGateway
) -> None:
    gateway.translator.faults.extend([Fault(after_images=2), Fault(after_images=0), Fault(after_images=1)])
    sources = [pixels(0), pixels(1), np.zeros(3), pixels(3), pixels(4), pixels(5)]
    answers = await got(client.stream_translate("toy", sources, format="raw"))
    assert levels(answers) == [(0, 255), (1, 254), (2, None), (3, 252), (4, 251), (5, 250)]
    assert len(gateway.translator.starts) == 4
    assert len({start.request_id for start in gateway.translator.starts}) == 1


async def test_what_is_left_of_a_broken_stream_is_asked_of_the_same_version(client: Any, gateway: ToyGateway) -> None:
    gateway.translator.version = "3"
    gateway.translator.faults.extend([LOST, Fault(after_images=1)])
    assert len(await got(client.stream_translate("toy", [pixels(0), pixels(1)], format="raw"))) == 2
    assert [start.version for start in gateway.translator.starts] == ["", "", "3"]


async def test_sources_that_are_gone_are_not_asked_for_again(client: Any, gateway: ToyGateway) -> None:
    gateway.translator.faults.append(Fault(after_images=2))
    answers, error = await until_error(client.stream_translate("toy", map(pixels, range(5)), format="raw"))
    assert isinstance(error, Unavailable)
    assert levels(answers) == [(0, 255), (1, 254)]
    assert error.request_id == gateway.translator.starts[0].request_id != ""


async def test_without_an_order_only_a_stream_without_answers_begins_again(client: Any, gateway: ToyGateway) -> None:
    sources = [pixels(k) for k in range(3)]
    gateway.translator.faults.extend([LOST, Fault(after_images=1)])
    answers, error = await until_error(client.stream_translate("toy", sources, unordered=True, format="raw"))
    assert (levels(answers), type(error)) == ([(0, 255)], Unavailable)
    assert [start.unordered for start in gateway.translator.starts] == [True, True]


async def test_a_refused_stream_is_not_repeated(client: Any, gateway: ToyGateway) -> None:
    gateway.translator.faults.append(Fault(grpc.StatusCode.DEADLINE_EXCEEDED, after_images=1))
    answers, error = await until_error(client.stream_translate("toy", [pixels(0), pixels(1)], format="raw"))
    assert (levels(answers), type(error)) == ([(0, 255)], DeadlineExceeded)


async def test_the_gateways_own_status_is_told_whatever_was_being_written(client: Any, gateway: ToyGateway) -> None:
    def sources() -> Iterator[Any]:
        while True:
            yield pixels(1)

    for _ in range(25):
        gateway.translator.faults.append(Fault(grpc.StatusCode.DEADLINE_EXCEEDED))
        _, error = await until_error(client.stream_translate("toy", sources()))
        assert isinstance(error, DeadlineExceeded)
        assert (str(error), error.reason) == ("toy DEADLINE_EXCEEDED", "TOY")


async def test_a_unary_call_is_repeated(client: Any, gateway: ToyGateway) -> None:
    gateway.translator.faults.extend([LOST, LOST])
    [made] = await got(client.translate("toy", pixels(5), format="raw", version="7", priority="bulk"))
    assert made.array().tolist() == [[[250] * 3] * 2]
    first, second, third = gateway.translator.unary
    assert first == second == third
    assert (first.model, first.version, first.priority) == ("models/toy", "7", 2)


async def test_large_images_go_up_in_parts_of_a_megabyte(client: Any, gateway: ToyGateway) -> None:
    gateway.translator.part_bytes = 100_000
    large = np.arange(900 * 900 * 3, dtype=np.uint64).astype(np.uint8).reshape(900, 900, 3)
    first, second = await got(client.stream_translate("toy", [large, pixels(7)], format="raw"))
    assert first.images[0].data == (255 - large).tobytes()
    assert levels([second]) == [(1, 248)]
    item, *more, after = gateway.translator.requests
    assert (item.item.source.image.data_size, len(item.item.source.image.data)) == (2_430_000, 2**20)
    assert [len(request.more) for request in more] == [2**20, 2_430_000 - 2 * 2**20]
    assert after.item.source.image.data_size == 0


async def test_an_image_of_a_megabyte_goes_up_whole(client: Any, gateway: ToyGateway) -> None:
    await got(client.stream_translate("toy", [bytes(2**20), bytes(2**20 + 1)], format="raw"))
    whole, parted, rest = gateway.translator.requests
    assert (whole.item.source.image.data_size, len(whole.item.source.image.data)) == (0, 2**20)
    assert parted.item.source.image.data_size == 2**20 + 1
    assert rest.more == b"\0"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ([answer(1, image()), answer(0, image())], "item 1 was answered, and the answer to 0 was due"),
        ([answer(0, image()), answer(0, image())], "item 0 was answered, and the answer to 1 was due"),
        ([answer(0, image())], "the stream ended before 1 of its items were answered"),
        ([answer(0, image(data=b"a"), last=True)], "ended 2 bytes before the end of image 0"),
        ([answer(0, image(data=b"a"), image(1))], "image 1 began before image 0 was whole"),
        ([answer(0, image(data=b"a"), last=False), answer(0, image(data=b"bcd"))], "image 0 has 4 bytes, not 3"),
    ],
)
async def test_answers_against_the_contract_are_the_gateway_s_fault(
    client: Any, gateway: ToyGateway, script: Any, told: str
) -> None:
    gateway.translator.script = script
    with pytest.raises(Internal, match=told):
        await got(client.stream_translate("toy", [pixels(0), pixels(1)]))


async def test_parts_of_items_may_be_mixed_without_an_order(client: Any, gateway: ToyGateway) -> None:
    gateway.translator.script = [
        answer(1, image(data=b"d"), last=False),
        answer(0, image(data=b"ab"), last=False),
        answer(1, image(data=b"ef"), image(1, b"xyz")),
        answer(0, image(data=b"c")),
    ]
    answers = await got(client.stream_translate("toy", [pixels(0), pixels(1)], unordered=True))
    assert [(one.index, [(made.target, made.data) for made in one.images]) for one in answers] == [
        (1, [(0, b"def"), (1, b"xyz")]),
        (0, [(0, b"abc")]),
    ]


async def test_an_item_s_own_unavailability_is_its_error_and_not_a_break(client: Any, gateway: ToyGateway) -> None:
    gateway.translator.script = [
        pb.StreamTranslateResponse(index=0, error={"code": 14, "message": "Triton is away"}, last=True),
        answer(1, image()),
    ]
    first, second = await got(client.stream_translate("toy", [pixels(0), pixels(1)]))
    assert (type(first.error), str(first.error), first.images) == (Unavailable, "Triton is away", ())
    assert second.images[0].data == b"abc"


async def test_warnings_and_a_way_back_that_is_too_large_are_told(client: Any, gateway: ToyGateway) -> None:
    back = pb.Reconstruction(mean_error=2.5)
    gateway.translator.script = [
        answer(0, pb.TranslatedImage(data=b"abc", data_size=3, warnings=["mind it"], reconstruction=back))
    ]
    [made] = (await got(client.stream_translate("toy", [pixels(0)])))[0].images
    assert (made.warnings, made.reconstruction, made.mean_error) == (("mind it",), None, 2.5)
