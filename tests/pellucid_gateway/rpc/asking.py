"""What tests of generation ask, and how they read the answers."""

from collections.abc import AsyncIterable
from typing import Any

import grpc
import numpy as np
import pytest

from pellucid.v1 import image_pb2
from tests.pellucid_gateway.rpc.refusals import Refusal, refusal

PAINT = "models/paint"
RAW = image_pb2.OutputOptions(format=image_pb2.IMAGE_FORMAT_RAW, include_latent=True)


def seed(number: int) -> image_pb2.Source:
    return image_pb2.Source(seed=number)


def given(*values: float) -> image_pb2.Source:
    return image_pb2.Source(latent={"values": values})


def edit(*moves: dict[str, object], locks: tuple[str, ...] = ()) -> image_pb2.EditSet:
    return image_pb2.EditSet(moves=[image_pb2.Move(**move) for move in moves], locks=locks)


def colour(image: image_pb2.Image) -> list[int]:
    return list(image.data[:3])


def painted(latent: np.ndarray) -> list[int]:
    return np.clip(np.rint(128 + 16 * latent[:3].astype(np.float64)), 0, 255).astype(int).tolist()


async def answer(call: Any) -> object:
    return [message async for message in call] if isinstance(call, AsyncIterable) else await call


async def refused(call: Any) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await answer(call)
    return refusal(caught.value)
