import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from pellucid_client import AsyncClient, Client, InvalidRequest, Unavailable
from tests.pellucid_client.faces import got
from tests.pellucid_client.faults import Fault
from tests.pellucid_client.servicers import ToyGateway


def pixels(happiness: int, masculine: int = 0) -> Any:
    return np.full((4, 4, 3), (1, 100 + 10 * happiness, 100 + 10 * masculine), dtype=np.uint8)


async def test_images_of_every_kind_are_measured(client: Any, tmp_path: Path) -> None:
    [face] = await got(client.edit(1, {"happiness": 2}, model="toy", format="raw"))
    path = tmp_path / "face.png"
    PIL.Image.fromarray(pixels(4)).save(path)
    images = [face, pixels(3, 5), PIL.Image.fromarray(pixels(-1)), path, path.read_bytes()]
    analyses = await got(client.analyze("labels", images))
    assert [analysis["happiness"] for analysis in analyses] == [2, 3, -1, 4, 4]
    assert dict(analyses[1].values) == {"happiness": 3, "masculine": 5}
    assert [analysis.index for analysis in analyses] == [0, 1, 2, 3, 4]


async def test_one_image_may_come_alone(client: Any) -> None:
    [analysis] = await got(client.analyze("labels", pixels(3)))
    assert analysis["happiness"] == 3
    assert len(await got(client.analyze("labels", np.stack([pixels(1), pixels(2)])))) == 2


async def test_pixels_of_another_kind_are_refused(client: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"float64 \(4, 4, 3\)"):
        await got(client.analyze("labels", [np.zeros((4, 4, 3))]))


async def test_images_beyond_one_message_are_refused_before_the_call(client: Any, gateway: ToyGateway) -> None:
    large = np.zeros((1300, 1300, 3), dtype=np.uint8)
    with pytest.raises(InvalidRequest, match=r"images: a message of 50700\d\d bytes .* 4194304; stream_analyze takes"):
        await got(client.analyze("labels", large))
    assert gateway.requests == []


async def test_an_image_beyond_one_message_ends_a_stream(client: Any) -> None:
    large = np.zeros((1300, 1300, 3), dtype=np.uint8)
    with pytest.raises(InvalidRequest, match="send it as JPEG, PNG or WebP"):
        await got(client.stream_analyze("labels", [pixels(1), large]))


async def test_a_stream_measures_all_in_order(client: Any, gateway: ToyGateway) -> None:
    analyses = await got(client.stream_analyze("labels", (pixels(k % 10) for k in range(150))))
    assert [analysis["happiness"] for analysis in analyses] == [k % 10 for k in range(150)]
    assert [analysis.index for analysis in analyses] == list(range(150))
    assert [len(request.images) for request in gateway.requests] == [0, 64, 64, 22]
    assert [request.model for request in gateway.requests] == ["models/labels", "", "", ""]


async def test_large_images_travel_in_messages_of_a_megabyte(client: Any, gateway: ToyGateway) -> None:
    large = np.full((400, 500, 3), 100, dtype=np.uint8)
    assert len(await got(client.stream_analyze("labels", [large] * 3))) == 3
    assert [len(request.images) for request in gateway.requests] == [0, 1, 1, 1]


async def test_a_bad_image_has_an_error_of_its_own(client: Any) -> None:
    good, bad, last = await got(client.stream_analyze("labels", [pixels(1), b"rubbish", pixels(2)]))
    assert (good["happiness"], last["happiness"]) == (1, 2)
    assert isinstance(bad.error, InvalidRequest)
    with pytest.raises(InvalidRequest, match="no picture"):
        bad["happiness"]


async def test_a_broken_stream_of_a_sequence_goes_on(client: Any, gateway: ToyGateway) -> None:
    gateway.faults.extend([Fault(after_images=2), Fault(after_images=1)])
    analyses = await got(client.stream_analyze("labels", [pixels(k) for k in range(5)]))
    assert [(analysis.index, analysis["happiness"]) for analysis in analyses] == [(k, k) for k in range(5)]


async def test_a_broken_stream_of_images_that_are_gone_is_an_error(client: Any, gateway: ToyGateway) -> None:
    gateway.faults.append(Fault(after_images=2))
    with pytest.raises(Unavailable):
        await got(client.stream_analyze("labels", (pixels(k) for k in range(5))))


async def test_an_error_of_the_callers_own_images_reaches_the_caller(client: Any) -> None:
    def images() -> Iterator[Any]:
        yield pixels(1)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await got(client.stream_analyze("labels", images()))


async def test_an_image_that_cannot_be_sent_is_the_stream_s_error(client: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"float64 \(4, 4, 3\)"):
        await got(client.stream_analyze("labels", [np.zeros((4, 4, 3))]))
    with pytest.raises(FileNotFoundError, match=r"missing\.png"):
        await got(client.stream_analyze("labels", [pixels(1), tmp_path / "missing.png"]))


async def test_the_callers_own_error_comes_before_the_call_s(client: Any, gateway: ToyGateway) -> None:
    def images() -> Iterator[Any]:
        yield from [pixels(1)] * 64
        raise ValueError("mine")

    gateway.faults.append(Fault(after_images=63, after_s=0.5))
    with pytest.raises(ValueError, match="mine"):
        await got(client.stream_analyze("labels", images()))


async def test_files_are_read_outside_the_event_loop(target: str, tmp_path: Path) -> None:
    class Watched(type(tmp_path)):
        def read_bytes(self) -> bytes:
            readers.append(threading.current_thread())
            return bytes(super().read_bytes())

    readers: list[threading.Thread] = []
    PIL.Image.fromarray(pixels(4)).save(tmp_path / "face.png")
    async with AsyncClient(target) as client:
        [analysis] = [one async for one in client.stream_analyze("labels", [Watched(tmp_path / "face.png")])]
    assert analysis["happiness"] == 4
    assert threading.current_thread() not in readers
    assert len(readers) == 1


def test_a_stream_of_images_may_be_measured_by_the_same_client(target: str) -> None:
    with Client(target) as client:
        faces = client.stream_edit(range(100), {"happiness": 3}, model="toy", format="png")
        assert [analysis["happiness"] for analysis in client.stream_analyze("labels", faces)] == [3] * 100
