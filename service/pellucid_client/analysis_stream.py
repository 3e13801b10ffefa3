"""A stream of analyses: images go up while labels come down."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from itertools import islice

import grpc

from pellucid.v1 import analysis_service_pb2 as pb
from pellucid_client.analysis import Analysis, ImageLike, packed
from pellucid_client.calls import Caller

_PULLED = 64


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
        try:
            async for response in call:
                for result in response.results:
                    analysis = Analysis.from_result(result, done)
                    done += 1
                    attempts.progressed()
                    yield analysis
        except grpc.aio.AioRpcError as error:
            await caller.recover(attempts, error, repeatable=isinstance(images, Sequence))
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
        self._images = iter(images)
        self._failure: Exception | None = None

    async def messages(self) -> AsyncIterator[pb.StreamAnalyzeRequest]:
        yield self._first
        while group := await self._pulled():
            for inputs in packed(group):
                yield pb.StreamAnalyzeRequest(images=inputs)

    async def _pulled(self) -> list[ImageLike]:
        # In a thread: the iterable may wait for something, such as a stream of this very client.
        try:
            return await asyncio.to_thread(_taken, self._images)
        except Exception as error:
            self._failure = error
            return []

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def _taken(images: Iterator[ImageLike]) -> list[ImageLike]:
    return list(islice(images, _PULLED))
