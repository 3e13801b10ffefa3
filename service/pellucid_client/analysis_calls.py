"""Calls of AnalysisService."""

from collections.abc import AsyncGenerator, Iterable
from typing import Unpack

from pellucid.v1 import analysis_service_pb2 as pb
from pellucid_client import options
from pellucid_client.analysis import Analysis
from pellucid_client.analysis_stream import analyses
from pellucid_client.image_input import ImageLike, image_inputs
from pellucid_client.message_size import check_size
from pellucid_client.names import model_name
from pellucid_client.options import CallOptions
from pellucid_client.session import Session

_INSTEAD = "stream_analyze takes any number; send an image that is too large by itself as JPEG, PNG or WebP"


class AnalysisCalls(Session):
    """Labels of images."""

    async def analyze(
        self,
        model: str,
        images: ImageLike | Iterable[ImageLike],
        **call_options: Unpack[CallOptions],
    ) -> list[Analysis]:
        """Return what a classifier measures of at most 64 images of 4 MiB in all; a bad image fails the call."""
        options.check(call_options, CallOptions)
        request = pb.AnalyzeRequest(
            model=model_name(model),
            version=call_options.get("version", ""),
            images=image_inputs(images),
            priority=options.priority(call_options),
            request_id=options.request_id(call_options),
        )
        check_size(request, "images", _INSTEAD)
        response = await self._caller.unary(
            self._connection.analysis.Analyze,
            request,
            call_options.get("timeout_s", self._timeout_s),
            request.request_id,
        )
        return [Analysis.from_message(analysis, analysis.index) for analysis in response.analyses]

    def stream_analyze(
        self,
        model: str,
        images: Iterable[ImageLike],
        **call_options: Unpack[CallOptions],
    ) -> AsyncGenerator[Analysis, None]:
        """Give what a classifier measures of any number of images, in order; a bad image has an error of its own.

        Images are taken from the iterable in groups of at most 64, in a thread, so that it may itself be a stream.
        The stream goes on after a break where `images` is a sequence; of other iterables what was taken is gone. It
        has no request identifier.
        """
        options.check(call_options, CallOptions)
        first = pb.StreamAnalyzeRequest(
            model=model_name(model),
            version=call_options.get("version", ""),
            priority=options.priority(call_options),
        )
        timeout_s = call_options.get("timeout_s", self._stream_timeout_s)
        return analyses(self._caller, self._connection.analysis.StreamAnalyze, first, images, timeout_s)
