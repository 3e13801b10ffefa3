"""AttnGAN against outputs of the official code (see case.json beside the arrays), from the official files."""

import functools
import json
import re
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pellucid_export import onnx, runtime
from pellucid_export.families import attngan
from pellucid_export.families.attngan import Options
from pellucid_export.family import Network
from pellucid_export.networks.caption_generator import CaptionGenerator
from pellucid_export.networks.pixels import Pixels
from pellucid_export.runtime import Runner
from pellucid_export.samples import Arrays

pytestmark = pytest.mark.torch

GOLDEN = Path(__file__).parents[2] / "golden" / "attngan"
CASES = ("bird_mini", "bird_attndcgan_mini")
MAX_TOKENS = 16
CROP = slice(96, 160)

Array = npt.NDArray[np.generic]


class Case:
    """A case's arrays and its network."""

    def __init__(self, name: str, folder: Path) -> None:
        self.about = json.loads((GOLDEN / name / "case.json").read_text())
        self.arrays = dict(np.load(GOLDEN / name / "io.npz"))
        self.networks: dict[Pixels, Network] = {
            pixels: attngan.load(GOLDEN / name, Options(pixels, MAX_TOKENS)) for pixels in ("float32", "uint8")
        }
        self.generator = cast(CaptionGenerator, self.networks["float32"].stages[1].module)
        self.folder = folder

    @functools.cache  # noqa: B019 - a module's tests share two cases
    def runner(self, way: str, pixels: Pixels, index: int) -> Runner:
        """The stage of this index, as PyTorch runs it or as ONNX Runtime does."""
        stage = self.networks[pixels].stages[index]
        if way == "torch":
            return runtime.reference(stage)
        graph = self.folder / f"{index}.{pixels}.onnx"
        onnx.write(stage, graph)
        return runtime.open_onnx(str(graph))

    def run(self, way: str, pixels: Pixels, rows: slice, noise: Array) -> Arrays:
        """Both stages on captions padded to the model's length; `noise` is the conditioning noise."""
        tokens = np.zeros((2, MAX_TOKENS), np.int64)
        tokens[:, : self.arrays["tokens"].shape[1]] = self.arrays["tokens"]
        captions = {"tokens": tokens[rows], "token_count": self.arrays["lengths"][rows, None]}
        encoded = self.runner(way, "float32", 0)(captions)
        inputs = {"latent": self.arrays["z"][rows], "conditioning_noise": noise, **encoded}
        return encoded | self.runner(way, pixels, 1)(inputs)

    def check(self, name: str, found: Array) -> None:
        """Assert that the array of this name was found, within the case's tolerance."""
        expected, allowed = self.arrays[name], self.about["tolerance"]
        assert found.shape == expected.shape
        if expected.dtype == np.float16:
            np.testing.assert_allclose(found, expected, rtol=0, atol=allowed["float16 arrays"], err_msg=name)
        else:
            np.testing.assert_allclose(found, expected, allowed["rtol"], allowed["atol"], err_msg=name)


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(request.param, tmp_path_factory.mktemp(request.param))


def planes(images: Array) -> Array:
    return images.transpose(0, 3, 1, 2)


def halved(maps: Array) -> Array:
    """The means of 2 x 2 places (..., H, W)."""
    *rest, height, width = maps.shape
    return maps.reshape(*rest, height // 2, 2, width // 2, 2).mean((-3, -1), dtype=np.float32)


@pytest.mark.parametrize("way", ["torch", "onnx"])
@pytest.mark.parametrize("row", [0, 1])
def test_a_caption_gives_what_the_official_code_gives_for_it_alone(case: Case, way: str, row: int) -> None:
    prefix, count = f"single{row}_", int(case.arrays["lengths"][row])
    found = case.run(way, "float32", slice(row, row + 1), case.arrays[f"{prefix}ca_eps"])
    case.check(f"{prefix}words_emb", found["words"][:, :, :count])
    case.check(f"{prefix}sent_emb", found["sentence"])
    case.check(f"{prefix}img256", planes(found["image"]))
    case.check(f"{prefix}att0", found["attention_64"][:, :count])
    case.check(f"{prefix}att1", halved(found["attention_128"][:, :count]))
    if case.generator.paints_all_sizes:
        case.check(f"{prefix}img64", planes(found["image_64"]))
        case.check(f"{prefix}img128", planes(found["image_128"]))
    else:
        assert set(found) == {"words", "sentence", "word_mask", "image", "attention_64", "attention_128"}
    for padding in (found["words"][:, :, count:], found["attention_64"][:, count:], found["attention_128"][:, count:]):
        assert padding.any() == np.False_
        assert padding.size > 0


@pytest.mark.parametrize("way", ["torch", "onnx"])
def test_captions_of_unequal_length_share_a_batch_each_with_its_own_mask(case: Case, way: str) -> None:
    found = case.run(way, "float32", slice(None), case.arrays["ca_eps"])
    length = case.arrays["tokens"].shape[1]
    case.check("words_emb", found["words"][:, :, :length])
    case.check("sent_emb", found["sentence"])
    np.testing.assert_array_equal(found["word_mask"][:, :length], ~case.arrays["mask"])
    if "image_128" in found:
        case.check("fixedbatch_img128", planes(found["image_128"]))
        leaking = case.arrays["officialbatch_img128"] - planes(found["image_128"])
    else:
        case.check("fixedbatch_img256", halved(planes(found["image"])))
        leaking = case.arrays["officialbatch_img256"] - halved(planes(found["image"]))
    assert np.abs(leaking).max() > 0.1


def test_a_sentences_distribution_is_the_official_one_alone_and_in_a_batch(case: Case) -> None:
    for prefix, sentences in (("single0", "single0_sent_emb"), ("single1", "single1_sent_emb"), ("batch", "sent_emb")):
        with torch.inference_mode():
            mean, log_variance = case.generator.ca_net.moments(torch.from_numpy(case.arrays[sentences]))
        case.check(f"{prefix}_mu", mean.numpy())
        case.check(f"{prefix}_logvar", log_variance.numpy())


@pytest.mark.parametrize("way", ["torch", "onnx"])
def test_8_bit_images_are_the_official_ones_within_a_level(case: Case, way: str) -> None:
    found = case.run(way, "uint8", slice(1), case.arrays["single0_ca_eps"])
    assert {array.dtype.name for name, array in found.items() if name.startswith("image")} == {"uint8"}
    expected = case.arrays["single0_uint8_256_crop"].astype(int)
    assert np.abs(planes(found["image"])[:, :, CROP, CROP] - expected).max() <= case.about["tolerance"]["uint8"]
    floats = case.run(way, "float32", slice(1), case.arrays["single0_ca_eps"])
    for name in {"image", "image_64", "image_128"} & found.keys():
        np.testing.assert_allclose(found[name], (floats[name] + 1) * 127.5, atol=0.501, rtol=0)


def test_the_vocabulary_reads_the_official_captions_into_the_official_tokens(case: Case) -> None:
    vocabulary = json.loads(case.networks["uint8"].assets["vocabulary.json"])
    for caption, tokens, count in zip(
        case.about["config"]["captions"], case.arrays["tokens"], case.arrays["lengths"], strict=True
    ):
        words = re.findall(r"\w+", caption.replace("\ufffd\ufffd", " ").lower())
        plain = [word.encode("ascii", "ignore").decode() for word in words]
        assert [vocabulary[word] for word in plain if word] == tokens[:count].tolist()


def test_every_array_of_the_case_is_compared_or_an_input(case: Case) -> None:
    compared = {"words_emb", "sent_emb", "img64", "img128", "img256", "att0", "att1", "mu", "logvar", "uint8_256_crop"}
    inputs = {"tokens", "lengths", "mask", "z", "ca_eps"}
    for name in case.arrays:
        assert re.sub(r"^(single\d|batch|fixedbatch|officialbatch)_", "", name) in compared | inputs
