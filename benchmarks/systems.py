"""ONNX Runtime in this process, Triton through tritonclient, the gateway: all generate `models/digiface`."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import grpc
import numpy as np
import onnxruntime
import tritonclient.grpc.aio as triton

from benchmarks.measure import Call
from pellucid.v1 import generation_service_pb2 as pb
from pellucid.v1 import generation_service_pb2_grpc, image_pb2

MODEL = "digiface"
LATENT = 100
BATCH = 16
ONE = "1 image, 1 client"
"""Work whose latencies are compared: measured call by call in turn."""


@dataclass(frozen=True)
class System:
    """A named way to get images: `clients` ask at the same time, each with `call`."""

    name: str
    work: str
    clients: int
    call: Call


def latents(first: int, number: int) -> np.ndarray:
    """Draw latents (number, 100) by the rule that the gateway documents for its seeds."""
    return np.stack(
        [
            np.random.Generator(np.random.Philox(key=np.array([seed, 0], dtype=np.uint64))).standard_normal(
                LATENT, dtype=np.float32
            )
            for seed in range(first, first + number)
        ]
    )


def in_process(model: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Give ONNX Runtime as a function of latents, with a thread a core, as the embedded Triton runs it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return lambda batch: np.asarray(session.run(["image"], {"latent": batch})[0])


def in_process_systems(generate: Callable[[np.ndarray], np.ndarray]) -> list[System]:
    """The ceiling: no server at all."""

    def call(batch: np.ndarray) -> Call:
        async def once() -> int:
            return len(generate(batch))

        return once

    return [System("ONNX Runtime, in process", f"batch {size}", 1, call(latents(0, size))) for size in (1, BATCH)]


@asynccontextmanager
async def triton_systems(address: str, expected: np.ndarray) -> AsyncIterator[list[System]]:
    """Triton directly, with raw tensors, the same batches and the same number in flight as the gateway's stream."""
    async with triton.InferenceServerClient(address) as client:

        async def infer(batch: np.ndarray) -> np.ndarray:
            given = triton.InferInput("latent", batch.shape, "FP32")
            given.set_data_from_numpy(batch)
            answer = await client.infer(MODEL, [given], outputs=[triton.InferRequestedOutput("image")])
            return np.asarray(answer.as_numpy("image"))

        _check("Triton", await infer(latents(0, len(expected))), expected)

        def call(batch: np.ndarray) -> Call:
            async def once() -> int:
                return len(await infer(batch))

            return once

        yield [
            System("Triton, directly", ONE, 1, call(latents(0, 1))),
            System("Triton, directly", "1 image, 16 clients", 16, call(latents(0, 1))),
            System("Triton, directly", "batches of 16, 2 in flight", 2, call(latents(0, BATCH))),
        ]


@asynccontextmanager
async def gateway_systems(address: str, expected: np.ndarray, stream_images: int) -> AsyncIterator[list[System]]:
    """The gateway: unary calls of one image, and streams."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
        raw = image_pb2.OutputOptions(format=image_pb2.IMAGE_FORMAT_RAW)
        seeds = count()

        async def one(output: image_pb2.OutputOptions = raw) -> int:
            request = pb.GenerateRequest(
                model=f"models/{MODEL}", sources=[image_pb2.Source(seed=next(seeds))], output=output
            )
            return len((await stub.Generate(request)).images)

        async def stream(output: image_pb2.OutputOptions) -> list[image_pb2.Image]:
            request = pb.StreamGenerateRequest(
                model=f"models/{MODEL}", seeds=pb.SeedRange(first=0, count=stream_images), output=output
            )
            return [image async for message in stub.StreamGenerate(request) for image in message.images]

        made = await stream(raw)
        pixels = np.stack([np.frombuffer(image.data, np.uint8).reshape(64, 64, 3) for image in made[: len(expected)]])
        _check("the gateway", pixels, expected)

        def whole(output: image_pb2.OutputOptions) -> Call:
            async def once() -> int:
                return len(await stream(output))

            return once

        yield [
            System("gateway, unary", ONE, 1, one),
            System("gateway, stream", f"{stream_images} images, raw", 1, whole(raw)),
            System("gateway, stream", f"{stream_images} images, JPEG", 1, whole(image_pb2.OutputOptions())),
            System("gateway, unary", "1 image, 16 clients", 16, one),
        ]


def _check(system: str, images: np.ndarray, expected: np.ndarray) -> None:
    """A fast answer is worth nothing unless it is the right one."""
    if not np.array_equal(images, expected):
        worst = np.abs(images.astype(int) - expected.astype(int)).max()
        raise SystemExit(f"{system} answers other pixels than ONNX Runtime in process: {worst} levels apart")
