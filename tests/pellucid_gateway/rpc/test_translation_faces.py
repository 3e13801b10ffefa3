"""Translate with faces brought into place first."""

import grpc
import numpy as np

from pellucid.v1 import translation_pb2
from pellucid.v1 import translation_service_pb2 as pb
from pellucid_gateway.alignment import Aligner
from pellucid_gateway.sources import held_bytes
from tests.pellucid_gateway.conftest import Gateway
from tests.pellucid_gateway.rpc import test_translation as asking
from tests.pellucid_gateway.rpc.asking import refused
from tests.pellucid_gateway.rpc.test_translation import shop
from tests.pellucid_gateway.test_alignment import PORTRAIT

__all__ = ["shop"]
ALIGNED = translation_pb2.ALIGNMENT_CELEBA


async def test_a_face_is_in_place_before_it_is_fitted(shop: Gateway) -> None:
    shop.catalog.serving("models/seasons").card.translation.sizes.max_px = 10**6
    wanted = 255 - Aligner().align(PORTRAIT, "")
    fit = pb.SourceFit(align=ALIGNED)
    [made] = await asking.translated(shop, asking.asked("seasons", PORTRAIT, fit=fit))
    assert (made.height, made.width) == (218, 178)
    assert np.array_equal(asking.pixels(made), wanted)
    official = pb.SourceFit(align=ALIGNED, official=True)
    [small] = await asking.translated(shop, asking.asked("seasons", PORTRAIT, fit=official))
    assert (small.height, small.width) == (8, 8)


async def test_a_picture_without_a_face_is_refused(shop: Gateway) -> None:
    request = asking.asked("seasons", asking.flat(9, 9, 9, height=64, width=64), fit=pb.SourceFit(align=ALIGNED))
    told = await refused(shop.translation.Translate(request))
    assert (told.code, told.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["source.image"])


async def test_scenes_have_no_faces(shop: Gateway) -> None:
    request = asking.asked("town", asking.scene(), fit=pb.SourceFit(align=ALIGNED))
    told = await refused(shop.translation.Translate(request))
    assert told.fields == ["fit.align"]


async def test_what_an_aligned_source_holds_follows_its_new_size(shop: Gateway) -> None:
    card = shop.catalog.serving("models/seasons").card
    card.translation.sizes.max_px = 10**6
    source = pb.TranslationSource(image=asking.image(asking.flat(1, 1, 1)))
    held = held_bytes(source, pb.SourceFit(align=ALIGNED), card, "source", 1, 4096**2)
    assert held == 8 * 8 * 3 + 21 * 220 * 180
