"""A long stream of translations to a client that is slower than the server: does the gateway's memory stay flat?

`python -m benchmarks.translate_stream [--images N] [--out FILE]` exports a small CycleGAN with random weights, starts
the stack, and streams pictures of noise through it, raw both ways: first as fast as it goes, then with a pause after
each answer that makes the client half as fast as the server was.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import torch
from rich.console import Console
from tests.pellucid_export.published import cyclegan

from pellucid.v1 import analysis_service_pb2, image_pb2, translation_service_pb2_grpc
from pellucid.v1 import translation_service_pb2 as pb
from pellucid_client.demo.stack import Stack
from pellucid_export import exporter, source
from pellucid_export.form import Form
from pellucid_export.networks.resnet_generator import Layout, ResnetGenerator
from pellucid_export.repository import Repository

MODEL = "stream"
MAX_BATCH = 4
SIDE = 512
START_TIMEOUT_S = 600.0
WARM_UP_IMAGES = 100
MIB = 2**20


@dataclass
class Watch:
    """What was seen of a stream: sources taken, answers read, and the gateway's resident memory after each answer."""

    taken: int = 0
    answered: int = 0
    most_ahead: int = 0
    seconds: float = 0.0
    resident: list[int] = field(default_factory=list)

    def growth_mib(self) -> float:
        """How far the memory rose above what it was at the first answer."""
        return (max(self.resident) - self.resident[0]) / MIB


def export(repository: Path, folder: Path) -> None:
    """Export the model that is streamed to."""
    layout = Layout(inputs=3, outputs=3, width=2, blocks=1, norm="instance", has_dropout=False)
    path = folder / "latest_net_G.pth"
    torch.save(cyclegan.random_state(ResnetGenerator(layout)), path)
    form = Form("cyclegan", source.digest(path), options={"size": "64"}, max_batch_size=MAX_BATCH)
    exporter.export(Repository(repository), MODEL, form, path)


def stream(stub: Any, gateway: Sequence[psutil.Process], images: int, pause_s: float) -> Watch:
    """Translate pictures, reading an answer and pausing in turn."""
    watch = Watch()
    noise = np.random.default_rng(0).integers(0, 256, SIDE * SIDE * 3, dtype=np.uint8).tobytes()
    item = pb.TranslationItem(source=pb.TranslationSource(image=picture(noise)))

    def requests() -> Iterator[pb.StreamTranslateRequest]:
        output = image_pb2.OutputOptions(format=image_pb2.IMAGE_FORMAT_RAW)
        yield pb.StreamTranslateRequest(start=pb.StreamTranslateStart(model=f"models/{MODEL}", output=output))
        for _ in range(images):
            watch.taken += 1
            watch.most_ahead = max(watch.most_ahead, watch.taken - watch.answered)
            yield pb.StreamTranslateRequest(item=item)

    started = time.monotonic()
    for response in stub.StreamTranslate(requests()):
        if response.HasField("error") or response.index != watch.answered:
            raise SystemExit(f"item {watch.answered}: {response}")
        watch.answered += 1
        watch.resident.append(sum(process.memory_info().rss for process in gateway))
        time.sleep(pause_s)
    watch.seconds = time.monotonic() - started
    return watch


def picture(data: bytes) -> analysis_service_pb2.ImageInput:
    """Return raw pixels as the contract's message."""
    return analysis_service_pb2.ImageInput(data=data, raw_height=SIDE, raw_width=SIDE)


def gateway_of(stack: Stack) -> list[psutil.Process]:
    """Find the processes of a stack's gateway."""
    children = psutil.Process(stack.pid).children(recursive=True)
    return [child for child in children if "pellucid_gateway" in child.cmdline()]


def main() -> None:
    """Measure, print the figures, write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/translate_stream.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export(folder / "repository", folder)
        with (
            Stack.of_repository(folder / "repository", folder / "log", START_TIMEOUT_S) as stack,
            grpc.insecure_channel(stack.facts["gateway"]) as channel,
        ):
            stub = translation_service_pb2_grpc.TranslationServiceStub(channel)
            gateway = gateway_of(stack)
            stream(stub, gateway, WARM_UP_IMAGES, 0.0)
            fast = stream(stub, gateway, WARM_UP_IMAGES, 0.0)
            slow = stream(stub, gateway, options.images, 2 * fast.seconds / WARM_UP_IMAGES)
    figures = {
        "images": options.images,
        "side_px": SIDE,
        "through_mib_each_way": round(options.images * SIDE * SIDE * 3 / MIB),
        "server_images_per_s": round(WARM_UP_IMAGES / fast.seconds, 1),
        "client_images_per_s": round(options.images / slow.seconds, 1),
        "most_sources_ahead": slow.most_ahead,
        "resident_mib": [round(one / MIB) for one in slow.resident[:: max(1, options.images // 20)]],
        "growth_mib": round(slow.growth_mib(), 1),
    }
    Console().print(figures)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
