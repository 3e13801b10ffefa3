"""A generator from a TorchScript file and a card; what it paints can be worked out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pellucid.v1.model_pb2 import DETERMINISM_EXACT
from pellucid.v1.model_pb2 import Stage as StageCard
from pellucid_export import exporter, runtime, source
from pellucid_export.errors import CheckpointError, FamilyError
from pellucid_export.families import custom
from pellucid_export.families.custom import Options
from pellucid_export.form import Form, Format
from pellucid_export.repository import Repository
from pellucid_export.verify import verify
from tests.pellucid_export.families.custom_toys import (
    LATENTS,
    ONE_HOT,
    IndexPainter,
    Painter,
    generate,
    levels,
    painted,
    save,
    save_painter,
)

pytestmark = pytest.mark.torch

CARD = "latent: 2\nclasses: [red, green, blue]\ninputs: {latent: z, label: y}\n"
LABELS = np.array([[1, 0, 0], [0, 0.5, 0.5], [0, 0, 1], [0.2, 0.3, 0.5]], np.float32)


class Plain(nn.Module):
    """Paints (N, 3, 1, 1) with its latent's three numbers."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z.reshape(-1, 3, 1, 1)


@pytest.mark.parametrize("file_format", list(Format))
@pytest.mark.parametrize("is_scripted", [False, True])
def test_a_generator_never_seen_is_served_with_a_class_for_each_image(
    tmp_path: Path, repository: Repository, file_format: Format, is_scripted: bool
) -> None:
    path = save_painter(tmp_path, CARD)
    if is_scripted:
        save(path, Painter())
    form = Form("custom", source.digest(path), format=file_format, max_batch_size=4)
    exported = exporter.export(repository, "mine", form, path)
    images = runtime.open_model(exported.directory)({"latent": LATENTS, "label": LABELS})["image"]
    np.testing.assert_array_equal(images, levels(painted(LATENTS, LABELS)))
    assert exported.version.determinism == DETERMINISM_EXACT
    card = repository.card("mine")
    assert list(card.stages) == [
        StageCard(role="synthesis", model="mine", inputs=["latent", "label"], outputs=["image"])
    ]
    assert (card.height, card.width, card.latent.size) == (4, 4, 2)
    assert list(card.classes.names) == ["red", "green", "blue"]
    assert [result.fault for result in verify(repository, "mine", checkpoint=path)] == [""]


def test_float_pixels_are_in_the_usual_range_whatever_the_networks_is(tmp_path: Path) -> None:
    path = save_painter(tmp_path, CARD)
    given = {"latent": LATENTS, "label": LABELS}
    found = generate(path, Options(pixels="float32"), **given)
    np.testing.assert_allclose(found, painted(LATENTS, LABELS), atol=1e-6)
    path = save_painter(tmp_path, CARD + "range: -0.5..1.5\n")
    found = generate(path, Options(pixels="float32"), **given)
    np.testing.assert_allclose(found, painted(LATENTS, LABELS) - 0.5, atol=1e-6)
    path = save_painter(tmp_path, CARD + "range: 0..1\n")
    np.testing.assert_array_equal(generate(path, **given), levels(2 * painted(LATENTS, LABELS) - 1))


def test_a_network_that_takes_the_number_of_its_class_gets_the_heaviest(tmp_path: Path) -> None:
    path = save(tmp_path / "mine.pt", IndexPainter(), torch.zeros(2, 2), torch.tensor([0, 2]))
    path.with_suffix(".yaml").write_text(CARD.replace("label: y", "label: {name: y, encoding: index}"))
    heaviest = ONE_HOT[[0, 1, 2, 2]]
    found = generate(path, latent=LATENTS, label=LABELS)
    np.testing.assert_array_equal(found, levels(painted(LATENTS, heaviest)))


def test_conditions_noise_and_truncation_differ_from_image_to_image(tmp_path: Path) -> None:
    class Resampling(nn.Module):
        """As StackGAN: a condition is resampled, and what truncation scales is the latent."""

        def forward(self, text: torch.Tensor, z: torch.Tensor, noise: torch.Tensor, psi: torch.Tensor) -> torch.Tensor:
            mean, deviation = text.chunk(2, dim=1)
            return (mean + deviation * noise + z * psi).reshape(-1, 3, 1, 1)

    examples = torch.zeros(2, 6), torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 1)
    path = save(tmp_path / "mine.pt", Resampling(), *examples)
    path.with_suffix(".yaml").write_text(
        "latent: 3\ncondition: {size: 6, description: a sentence}\nconditioning_noise: 3\ntruncation: {max: 2}\n"
        "inputs: {latent: z, condition: text, conditioning_noise: noise, truncation: psi}\n"
    )
    network = custom.load(path, Options(pixels="float32"))
    [stage] = network.stages
    assert [tensor.name for tensor in stage.signature.inputs] == [
        "condition",
        "latent",
        "conditioning_noise",
        "truncation",
    ]
    assert (stage.signature.inputs[3].low, stage.signature.inputs[3].high) == (0, 2)
    assert (network.card.condition.size, network.card.conditioning.size) == (6, 3)
    rows = np.random.default_rng(0)
    text, z, noise = (rows.standard_normal((4, size), dtype=np.float32) for size in (6, 3, 3))
    psi = np.array([[0], [0.5], [1], [2]], np.float32)
    images = runtime.reference(stage)({"condition": text, "latent": z, "conditioning_noise": noise, "truncation": psi})[
        "image"
    ]
    np.testing.assert_allclose(images[:, 0, 0], text[:, :3] + text[:, 3:] * noise + z * psi, atol=1e-6)


def test_truncation_that_scales_the_prior_is_no_input(tmp_path: Path) -> None:
    path = save(tmp_path / "mine.pt", Plain(), torch.zeros(2, 3))
    path.with_suffix(".yaml").write_text("latent: 3\ntruncation: {scales_prior: true}\n")
    network = custom.load(path, Options())
    assert [tensor.name for tensor in network.stages[0].signature.inputs] == ["latent"]
    assert network.card.truncation.scales_prior


def test_a_latent_may_have_the_shape_of_an_image(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.ConvTranspose2d(5, 1, 4)
    path = save(tmp_path / "mine.pt", network, torch.zeros(2, 5, 1, 1))
    path.with_suffix(".yaml").write_text("inputs: {latent: {name: input, shape: [5, 1, 1]}}\n")
    latent = np.random.default_rng(1).standard_normal((3, 5), dtype=np.float32)
    found = generate(path, Options(pixels="float32"), latent=latent)
    with torch.inference_mode():
        expected = network(torch.from_numpy(latent)[:, :, None, None]).numpy()
    np.testing.assert_allclose(found, expected.transpose(0, 2, 3, 1).repeat(3, axis=3), atol=1e-6)
    assert custom.load(path, Options()).card.latent.size == 5


@pytest.mark.parametrize("output", [1, "large"])
def test_one_of_several_outputs_is_served(tmp_path: Path, output: int | str) -> None:
    class Named(nn.Module):
        def forward(self, z: torch.Tensor) -> dict[str, torch.Tensor]:
            image = z.reshape(-1, 3, 1, 1)
            return {"small": image, "large": image.expand(-1, -1, 2, 3)}

    class Listed(nn.Module):
        def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            image = z.reshape(-1, 3, 1, 1)
            return image, image.expand(-1, -1, 2, 3)

    path = save(tmp_path / "mine.pt", Listed() if isinstance(output, int) else Named())
    path.with_suffix(".yaml").write_text(f"latent: 3\noutput: {output}\n")
    latent = np.array([[-1, 0, 1]], np.float32)
    assert generate(path, latent=latent).tolist() == [[[[0, 128, 255]] * 3] * 2]
    path.with_suffix(".yaml").write_text("latent: 3\n")
    with pytest.raises(CheckpointError, match=r"output must be one of (0, 1|small, large), which the network gives"):
        custom.load(path, Options())


def test_images_may_come_channels_last_and_as_bytes(tmp_path: Path) -> None:
    class Bytes(nn.Module):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return (z * 100).round().clamp(0, 255).to(torch.uint8).reshape(-1, 1, 1, 3).expand(-1, 2, 3, -1)

    path = save(tmp_path / "mine.pt", Bytes(), torch.zeros(2, 3))
    path.with_suffix(".yaml").write_text("latent: 3\nlayout: nhwc\nrange: 0..255\n")
    latent = np.array([[0.01, 1.27, 2.55]], np.float32)
    assert generate(path, latent=latent).tolist() == [[[[1, 127, 255]] * 3] * 2]


def test_arguments_with_defaults_are_left_alone_and_numbers_stand_for_names(tmp_path: Path) -> None:
    class Lenient(nn.Module):
        def forward(self, w: torch.Tensor, noise: torch.Tensor | None = None, gain: float = 1.0) -> torch.Tensor:
            return w.reshape(-1, 3, 1, 1) * gain if noise is None else w.reshape(-1, 3, 1, 1) * noise

    path = save(tmp_path / "mine.pt", Lenient())
    latent = np.array([[-1, 0, 1]], np.float32)
    for card in ("latent: 3\n", "latent: 3\ninputs: {latent: 0}\n"):
        path.with_suffix(".yaml").write_text(card)
        assert generate(path, latent=latent).tolist() == [[[[0, 128, 255]]]]


def test_a_folder_holds_one_network_and_its_card(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    path = save_painter(folder, CARD)
    path.with_suffix(".yaml").rename(folder / "card.yaml")
    np.testing.assert_array_equal(generate(folder, latent=LATENTS, label=LABELS), levels(painted(LATENTS, LABELS)))
    save_painter(folder, CARD, "second")
    with pytest.raises(CheckpointError, match=r"one file of \.onnx, .* is expected, found mine.pt, second.pt"):
        custom.load(folder, Options())


def test_a_card_is_found_beside_the_network_or_where_the_option_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_painter(tmp_path, CARD)
    card = path.with_suffix(".yaml").rename(tmp_path / "other.yaml")
    assert custom.load(path, Options(card="other.yaml")).card.height == 4
    assert custom.load(path, Options(card=str(card))).card.height == 4
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cards").mkdir()
    card.rename(tmp_path / "cards" / "there.yaml")
    assert custom.load(path, Options(card="cards/there.yaml")).card.height == 4
    with pytest.raises(CheckpointError, match=r"a card is needed, mine.yaml beside the network or --option card=FILE"):
        custom.load(path, Options())
    with pytest.raises(FamilyError, match=r"option 'card': no file 'absent.yaml' in .*, nor in the working directory"):
        custom.load(path, Options(card="absent.yaml"))


def test_the_digest_knows_weights_program_and_conventions_and_neither_names_nor_pixels(tmp_path: Path) -> None:
    def digest(card: str, module: nn.Module, name: str = "mine", options: Options | None = None) -> str:
        path = save(tmp_path / f"{name}.pt", module, torch.zeros(2, 2), torch.zeros(2, 3))
        path.with_suffix(".yaml").write_text(card)
        return custom.load(path, options or Options()).weights_digest

    class Darker(Painter):
        def forward(self, z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return super().forward(z, y) - 0.25

    lighter = Painter()
    lighter.shade += 0.5
    first = digest(CARD, Painter())
    same = [digest(CARD, Painter(), "again"), digest(CARD + "license: MIT\n", Painter())]
    same.append(digest(CARD, Painter(), options=Options(pixels="float32")))
    assert set(same) == {first}
    others = [digest(CARD, lighter), digest(CARD, Darker()), digest(CARD + "range: 0..1\n", Painter())]
    assert len({first, *others}) == 4


def test_a_corrected_range_makes_another_version(tmp_path: Path, repository: Repository) -> None:
    path = save_painter(tmp_path, CARD)
    form = Form("custom", source.digest(path), max_batch_size=2)
    assert exporter.export(repository, "mine", form, path).is_new
    path.with_suffix(".yaml").write_text(CARD + "license: MIT\n")
    assert not exporter.export(repository, "mine", form, path).is_new
    assert repository.card("mine").license == "MIT"
    path.with_suffix(".yaml").write_text(CARD + "range: 0..1\n")
    assert exporter.export(repository, "mine", form, path).version.name == "2"
