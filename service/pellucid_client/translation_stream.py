"""A stream of translations: sources go up while translations come down."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing

import grpc

from pellucid.v1 import translation_service_pb2 as pb
from pellucid_client.assembly import Assembly
from pellucid_client.calls import Caller
from pellucid_client.errors import PellucidError
from pellucid_client.final_status import FinalStatus
from pellucid_client.status import error_from_status
from pellucid_client.translation import Translated, Translation
from pellucid_client.translation_upload import Source, Upload


async def translated(
    caller: Caller,
    method: "grpc.aio.StreamStreamMultiCallable[pb.StreamTranslateRequest, pb.StreamTranslateResponse]",
    start: pb.StreamTranslateStart,
    sources: Iterable[Source],
    timeout_s: float,
) -> AsyncGenerator[Translated, None]:
    """Give what came of each source; `start` says how they are translated.

    A sequence can be read again, so a stream that breaks goes on with the first source that has no answer, at the
    version of the answers so far. Sources of any other iterable are gone, and without an order it is not known which
    is the first; then the error is raised.
    """
    attempts = caller.attempts(timeout_s)
    done = 0
    while True:
        upload = Upload(start, sources[done:] if isinstance(sources, Sequence) else sources, done)
        call = method(upload.messages(), timeout=attempts.remaining_s(), metadata=caller.metadata)
        status = FinalStatus(call)
        try:
            async with aclosing(_answers(call, upload, start)) as answers:
                async for one in answers:
                    done += 1
                    attempts.progressed()
                    yield one
        except grpc.aio.AioRpcError as error:
            upload.raise_failure()
            repeatable = isinstance(sources, Sequence) and not (start.unordered and done)
            await caller.recover(attempts, await status.of(error), start.request_id, repeatable)
            continue
        finally:
            call.cancel()
        attempts.succeeded()
        return


async def _answers(
    call: "grpc.aio.StreamStreamCall[pb.StreamTranslateRequest, pb.StreamTranslateResponse]",
    upload: Upload,
    start: pb.StreamTranslateStart,
) -> AsyncGenerator[Translated, None]:
    """Give the sources that the gateway answers, and among them those that it was never sent."""
    open_items: dict[int, _Item] = {}
    async for response in call:
        item = open_items.setdefault(response.index, _Item())
        item.add(response)
        if not response.last:
            continue
        del open_items[response.index]
        number = upload.answered(response.index)
        for refused in upload.refused(before=number):
            yield refused
        images, error = item.whole()
        if images:
            start.version = images[0].applied.version
        yield Translated(number, images, error)
    for refused in upload.refused():
        yield refused
    upload.raise_failure()
    upload.expect_all_answered()


class _Item:
    """The answer to one source, which may come in several messages."""

    def __init__(self) -> None:
        self._assembly = Assembly[pb.TranslatedImage](lambda image: image.target)
        self._images: list[pb.TranslatedImage] = []
        self._error: PellucidError | None = None

    def add(self, response: pb.StreamTranslateResponse) -> None:
        if response.HasField("error"):
            self._error = error_from_status(response.error)
        for part in response.images.images:
            whole = self._assembly.add(part)
            if whole is not None:
                self._images.append(whole)

    def whole(self) -> tuple[tuple[Translation, ...], PellucidError | None]:
        if self._error is not None:
            return (), self._error
        self._assembly.expect_nothing_open()
        return tuple(map(Translation.from_message, self._images)), None
