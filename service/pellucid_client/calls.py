"""How calls are made: time, credentials, repetition, errors."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from pellucid.v1 import generation_service_pb2 as pb
from pellucid_client import tracing
from pellucid_client.assembly import ImageMessage, whole_images
from pellucid_client.errors import Internal
from pellucid_client.image import Image
from pellucid_client.message_size import check_size
from pellucid_client.resume import Plan
from pellucid_client.retry import Attempts, RetryBudget, RetryPolicy
from pellucid_client.status import error_from_call

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response")
ImageRequest = TypeVar("ImageRequest", pb.StreamGenerateRequest, pb.StreamEditRequest, pb.InterpolateRequest)
Images = TypeVar("Images", bound=ImageMessage)

_INSTEAD = "ask in several calls"


class Caller:
    """Makes the calls of one client."""

    def __init__(self, metadata: Sequence[tuple[str, str]], policy: RetryPolicy) -> None:
        self._metadata = tuple(metadata)
        self._policy = policy
        self._budget = RetryBudget(policy.budget)

    @property
    def metadata(self) -> grpc.aio.Metadata:
        """What goes with a call that begins now: what the client was given, and its place in a trace."""
        return grpc.aio.Metadata(*self._metadata, *tracing.place())

    def attempts(self, timeout_s: float) -> Attempts:
        """Return the attempts of a new call."""
        return Attempts(self._policy, self._budget, timeout_s)

    async def recover(
        self,
        attempts: Attempts,
        error: grpc.aio.AioRpcError,
        request_id: str = "",
        repeatable: bool = True,
    ) -> None:
        """Wait for the next attempt; raise the error where there is to be none."""
        failure = error_from_call(error, request_id)
        pause_s = attempts.pause_s(failure) if repeatable else None
        if pause_s is None:
            raise failure from error
        await asyncio.sleep(pause_s)

    async def once(
        self,
        method: "grpc.aio.UnaryUnaryMultiCallable[Request, Response]",
        request: Request,
        timeout_s: float,
    ) -> Response:
        """Call a method, whatever comes of it."""
        try:
            return await method(request, timeout=timeout_s, metadata=self.metadata)
        except grpc.aio.AioRpcError as error:
            raise error_from_call(error) from error

    async def unary(
        self,
        method: "grpc.aio.UnaryUnaryMultiCallable[Request, Response]",
        request: Request,
        timeout_s: float,
        request_id: str = "",
    ) -> Response:
        """Call a method whose answer depends on nothing but the request."""
        check_size(request, "request", _INSTEAD)
        attempts = self.attempts(timeout_s)
        while True:
            try:
                response = await method(request, timeout=attempts.remaining_s(), metadata=self.metadata)
            except grpc.aio.AioRpcError as error:
                await self.recover(attempts, error, request_id)
            else:
                attempts.succeeded()
                return response

    async def images(
        self,
        method: "grpc.aio.UnaryStreamMultiCallable[ImageRequest, Images]",
        plan: Plan[ImageRequest],
        timeout_s: float,
    ) -> AsyncGenerator[Image, None]:
        """Give a stream's images in order; a stream that breaks is continued with the first one missing."""
        check_size(plan.request, "request", _INSTEAD)
        attempts = self.attempts(timeout_s)
        done, version = 0, ""
        while True:
            request, skip = plan.rest(done, version)
            first = done - skip  # where this attempt's first image belongs in the whole stream
            call = method(request, timeout=attempts.remaining_s(), metadata=self.metadata)
            try:
                async for message in whole_images(call):
                    if first + message.index < done:
                        continue
                    _expect(first + message.index == done, f"image {first + message.index} came, {done} was due")
                    image = Image.from_message(message, done)
                    done, version = done + 1, image.recipe.version
                    attempts.progressed()
                    yield image
            except grpc.aio.AioRpcError as error:
                if done < plan.total or done == 0:
                    await self.recover(attempts, error, request.request_id)
                    continue
            finally:
                call.cancel()
            _expect(done == plan.total, f"the stream ended after {done} of {plan.total} images")
            attempts.succeeded()
            return


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise Internal(otherwise)
