from typing import Any

import pytest

from pellucid.v1 import translation_pb2
from pellucid.v1.translation_service_pb2 import SourceFit
from pellucid_client import Fit, InvalidRequest
from pellucid_client.fit import fit_message

RESIZE = translation_pb2.FIT_MODE_RESIZE


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (None, None),
        ("keep", SourceFit(mode=translation_pb2.FIT_MODE_KEEP)),
        ("pad", SourceFit(mode=translation_pb2.FIT_MODE_PAD)),
        (Fit("nearest"), SourceFit(mode=translation_pb2.FIT_MODE_NEAREST)),
        (Fit("tile", center_crop=512), SourceFit(mode=translation_pb2.FIT_MODE_TILE, center_crop=512)),
        ("resize", SourceFit(mode=RESIZE)),
        (Fit("resize", 720, 1280), SourceFit(mode=RESIZE, height=720, width=1280)),
        (Fit(width=512), SourceFit(mode=RESIZE, width=512)),
        (Fit(center_crop=178), SourceFit(center_crop=178)),
        ("official", SourceFit(official=True)),
    ],
)
def test_a_fit_is_given_by_its_mode_alone_or_with_sizes(fit: Any, message: SourceFit | None) -> None:
    assert fit_message(fit) == message


@pytest.mark.parametrize(
    ("fit", "told"),
    [
        (Fit("pad", height=8), "height and width are for \"resize\", not for 'pad'"),
        (Fit("keep", width=8), "not for 'keep'"),
        ("squeeze", r"fit\.mode: 'squeeze' is none of keep, resize, pad, nearest, tile"),
    ],
)
def test_a_fit_that_would_not_mean_what_it_says_is_refused(fit: Any, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        fit_message(fit)


def test_faces_are_brought_into_place_where_it_is_asked_for() -> None:
    aligned = translation_pb2.ALIGNMENT_CELEBA
    assert fit_message(Fit("official", align=True)) == SourceFit(official=True, align=aligned)
    assert fit_message(Fit(height=64, align=True)) == SourceFit(
        mode=translation_pb2.FIT_MODE_RESIZE, height=64, align=aligned
    )
    assert fit_message("official") == SourceFit(official=True)
