"""Calls of TranslationService."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Unpack

from pellucid.v1 import translation_service_pb2 as pb
from pellucid_client import options
from pellucid_client.fit import fit_message
from pellucid_client.message_size import check_size
from pellucid_client.names import model_name
from pellucid_client.session import Session
from pellucid_client.targets import ToLike, target_messages
from pellucid_client.translation import Translated, Translation
from pellucid_client.translation_item import TranslatableLike, TranslationItem, source_message
from pellucid_client.translation_options import TranslationOptions
from pellucid_client.translation_stream import translated

_INSTEAD = "stream_translate sends a large image in parts; maps and examples are smaller as PNG"


class TranslationCalls(Session):
    """Images from images or label maps."""

    async def translate(
        self,
        model: str,
        source: TranslatableLike,
        to: ToLike | Iterable[ToLike] | None = None,
        *,
        labels: Mapping[str, float] | None = None,
        **translation_options: Unpack[TranslationOptions],
    ) -> list[Translation]:
        """Return the translations of an image or a scene, one for each target, of 4 MB in all.

        `to` is a domain's name, a Change of several together, domains' values by name, or a list of these, each a
        target. `labels` are the source's, by attribute: what changes are relative to; by default the card's classifier
        measures them. Without any target, the model's only or first one.
        """
        options.check(translation_options, TranslationOptions)
        request = pb.TranslateRequest(
            model=model_name(model),
            version=translation_options.get("version", ""),
            source=source_message(source, labels or {}),
            targets=_targets(to, translation_options),
            all_domains=translation_options.get("all_domains", False),
            fit=fit_message(translation_options.get("fit")),
            output=options.encoding(translation_options),
            priority=options.priority(translation_options),
            request_id=options.request_id(translation_options),
        )
        check_size(request, "source", _INSTEAD)
        response = await self._caller.unary(
            self._connection.translation.Translate,
            request,
            translation_options.get("timeout_s", self._timeout_s),
            request.request_id,
        )
        return [Translation.from_message(image) for image in response.images]

    def stream_translate(
        self,
        model: str,
        sources: Iterable[TranslatableLike | TranslationItem],
        to: ToLike | Iterable[ToLike] | None = None,
        *,
        unordered: bool = False,
        **translation_options: Unpack[TranslationOptions],
    ) -> AsyncGenerator[Translated, None]:
        """Give the translations of any number of sources, in order; one that fails has an error of its own.

        Sources are taken from the iterable one by one, in a thread, so that it may itself be a stream; their labels,
        and targets that are theirs alone, come with them as TranslationItem. Images and translations may be larger
        than a message. `unordered` gives them as they are done. The stream goes on after a break where `sources` is a
        sequence and the order is kept; otherwise what was taken is gone.
        """
        options.check(translation_options, TranslationOptions)
        start = pb.StreamTranslateStart(
            model=model_name(model),
            version=translation_options.get("version", ""),
            targets=_targets(to, translation_options),
            all_domains=translation_options.get("all_domains", False),
            fit=fit_message(translation_options.get("fit")),
            output=options.encoding(translation_options),
            priority=options.priority(translation_options),
            unordered=unordered,
            request_id=options.request_id(translation_options),
        )
        check_size(start, "targets", "examples are smaller as JPEG, PNG or WebP")
        timeout_s = translation_options.get("timeout_s", self._stream_timeout_s)
        return translated(self._caller, self._connection.translation.StreamTranslate, start, sources, timeout_s)


def _targets(to: ToLike | Iterable[ToLike] | None, given: TranslationOptions) -> list[pb.Target]:
    return target_messages(
        to, given.get("direction"), given.get("cycle", False), given.get("style"), given.get("dropout_seed")
    )
