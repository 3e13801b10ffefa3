import pytest

from pellucid.v1 import latent_pb2, model_pb2, translation_pb2
from pellucid.v1.translation_pb2 import Domains, Translation
from pellucid_client.commands.abilities import abilities

Z, W, W_PLUS = (
    model_pb2.LatentSpace(space=space) for space in (latent_pb2.SPACE_Z, latent_pb2.SPACE_W, latent_pb2.SPACE_W_PLUS)
)
LOOKS = translation_pb2.DomainSet(name="looks", names=["dark", "fair", "hat"])
MOODS = translation_pb2.DomainSet(name="moods", names=["calm", "wild"], exclusive=True)
THERE, BACK = (translation_pb2.Direction(name=name) for name in ("there", "back"))
ATTENTION = model_pb2.ImageOutput(tensor="attention_64")


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({}, ""),
        ({"spaces": [Z, W]}, "edits z w"),
        (
            {
                "spaces": [Z, W, W_PLUS],
                "classes": model_pb2.ClassList(count=1000),
                "truncation": model_pb2.TruncationRange(),
                "style_layers": model_pb2.StyleLayers(count=18),
                "noise": model_pb2.NoiseInput(),
            },
            "edits z w w+, classes 1000, truncation, mixing, noise",
        ),
        (
            {
                "caption": model_pb2.CaptionInput(attention=[ATTENTION]),
                "intermediates": [model_pb2.ImageOutput(tensor="image_64")],
            },
            "captions, intermediates, attention",
        ),
        ({"noise": model_pb2.NoiseInput(seeded=True)}, "noise, noise seeds"),
        ({"condition": model_pb2.ConditionVector(size=128)}, "condition 128"),
        ({"latent": model_pb2.LatentPrior(official_sampler=model_pb2.OFFICIAL_SAMPLER_RANDN)}, "official seeds"),
        ({"task": model_pb2.TASK_CLASSIFY, "labels": [model_pb2.Label(name="age")]}, "labels 1"),
        ({"translation": Translation(domains=Domains(sets=[LOOKS, MOODS]))}, "domains 5"),
        ({"translation": Translation(directions=[THERE, BACK])}, "directions there back"),
        (
            {
                "translation": Translation(
                    label_map=translation_pb2.LabelMapInput(count=35, instances=True),
                    features=translation_pb2.FeatureInput(size=3),
                )
            },
            "label maps, instances, styles",
        ),
        ({"translation": Translation(label_map=translation_pb2.LabelMapInput(count=35))}, "label maps"),
        (
            {
                "translation": Translation(
                    dropout=translation_pb2.DropoutInput(), sizes=translation_pb2.Sizes(tiles=True)
                )
            },
            "dropout, tiles",
        ),
    ],
)
def test_a_card_says_what_its_model_can_do(fields: dict[str, object], line: str) -> None:
    assert abilities(model_pb2.Model(**fields)) == line
