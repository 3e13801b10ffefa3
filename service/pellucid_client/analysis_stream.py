"""A stream of analyses: images go up while labels come down."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence

import grpc

from pellucid.v1 import analysis_service_pb2 as pb
from pellucid_client.analysis import Analysis, packed
from pellucid_client.calls import Caller
from pellucid_client.final_status import FinalStatus
from pellucid_client.image_input import ImageLike
from pellucid_client.message_size import check_size


async def analyses(
    caller: Caller,
    method: "grpc.aio.StreamStreamMultiCallable[pb.StreamAnalyzeRequest, pb.StreamAnalyzeResponse]",
    first: pb.StreamAnalyzeRequest,
    images: Iterable[ImageLike],
    timeout_s: float,
) -> AsyncGenerator[Analysis, None]:
    """Give an analysis for each image, in order; `first` says which classifier.

    A sequence can be read again, so a stream that breaks goes on with the first image that has no analysis; the
    images of any other iterable are gone, and the error is raised.
    """
    attempts = caller.attempts(timeout_s)
    done = 0
    while True:
        upload = _Upload(first, images[done:] if isinstance(images, Sequence) else images)
        call = method(upload.messages(), timeout=attempts.remaining_s(), metadata=caller.metadata)
        status = FinalStatus(call)
        try:
            async for response in call:
                for result in response.results:
                    analysis = Analysis.from_result(result, done)
                    done += 1
                    attempts.progressed()
                    yield analysis
        except grpc.aio.AioRpcError as error:
            upload.raise_failure()
            await caller.recover(attempts, await status.of(error), repeatable=isinstance(images, Sequence))
            continue
        finally:
            call.cancel()
        upload.raise_failure()
        attempts.succeeded()
        return


class _Upload:
    """Images on their way up."""

    def __init__(self, first: pb.StreamAnalyzeRequest, images: Iterable[ImageLike]) -> None:
        self._first = first
        self._groups = packed(images)
        self._failure: Exception | None = None

    async def messages(self) -> AsyncIterator[pb.StreamAnalyzeRequest]:
        yield self._first
        while request := await self._next():
            yield request

    async def _next(self) -> pb.StreamAnalyzeRequest | None:
        # In a thread: images may be files, and the iterable may wait, as for a stream of this very client.
        try:
            group = await asyncio.to_thread(next, self._groups, None)
            return None if group is None else _request(group)
        except Exception as error:
            self._failure = error
            return None

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def _request(images: list[pb.ImageInput]) -> pb.StreamAnalyzeRequest:
    request = pb.StreamAnalyzeRequest(images=images)
    check_size(request, "images", "send it as JPEG, PNG or WebP")
    return request
