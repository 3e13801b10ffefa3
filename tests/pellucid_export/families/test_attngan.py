"""AttnGAN's files, sizes and refusals; what the official code gives for them is in test_attngan_golden.py."""

import dataclasses
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from google.protobuf import json_format
from torch import nn

from pellucid_export import determinism, exporter, parity, runtime, source, torchscript
from pellucid_export.errors import CheckpointError, FamilyError
from pellucid_export.families import attngan
from pellucid_export.families.attngan import Options
from pellucid_export.family import Network
from pellucid_export.form import Form
from pellucid_export.networks.caption_encoder import CaptionEncoder
from pellucid_export.networks.caption_generator import Attention, CaptionGenerator, Dimensions
from pellucid_export.repository import Repository
from pellucid_export.samples import Arrays, draw
from pellucid_export.verify import verify

from ..published import attngan as published

pytestmark = pytest.mark.torch

SIZE = Dimensions(features=2, words=6, condition=3, latent=5, residuals=1, paints_all_sizes=True)
WORDS, EMBEDDING = 9, 7
SHORT = Options(max_tokens=6)


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small AttnGAN in its own folder, which tests may spoil."""
    return published.write(tmp_path / "checkpoint", size=SIZE, words=WORDS, embedding=EMBEDDING)


def state(file: Path) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = torch.load(file, weights_only=True)
    return loaded


def answer(network: Network, inputs: Arrays) -> Arrays:
    """All tensors of a run through both stages; `inputs` are the first stage's and the latents."""
    values = dict(inputs)
    for stage in network.stages:
        values |= runtime.reference(stage)({tensor.name: values[tensor.name] for tensor in stage.signature.inputs})
    return values


def captions(network: Network, *lengths: int) -> Arrays:
    """Random inputs with captions of these lengths; beyond them there are other words, not zeros."""
    inputs: Arrays = {}
    for stage in network.stages:
        inputs |= draw(stage.signature, len(lengths), seed=3)
    inputs["token_count"] = np.array(lengths)[:, None]
    return {name: inputs[name] for name in ("tokens", "token_count", "latent", "conditioning_noise")}


def test_sizes_are_told_by_the_weights(folder: Path) -> None:
    for paints_all_sizes, residuals in ((True, 1), (False, 0), (True, 3)):
        size = dataclasses.replace(SIZE, residuals=residuals, paints_all_sizes=paints_all_sizes)
        published.write(folder, size=size, words=WORDS, embedding=EMBEDDING)
        encoder, generator = attngan.load(folder, SHORT).stages
        assert {tensor.name: tensor.shape for tensor in encoder.signature.inputs} == {
            "tokens": (6,),
            "token_count": (1,),
        }
        assert {tensor.name: tensor.shape for tensor in generator.signature.inputs} == {
            "latent": (5,),
            "conditioning_noise": (3,),
            "words": (6, 6),
            "sentence": (6,),
            "word_mask": (6,),
        }
        assert len(cast(CaptionGenerator, generator.module).h_net2.residual) == residuals
        smaller = ["image_64", "image_128"] if paints_all_sizes else []
        names = [tensor.name for tensor in generator.signature.outputs]
        assert names == ["image", *smaller, "attention_64", "attention_128"]


def test_the_card_says_how_captions_are_read_and_what_the_generator_gives(folder: Path) -> None:
    card = attngan.load(folder, SHORT).card
    side_64, side_128 = {"height": 64, "width": 64}, {"height": 128, "width": 128}
    assert json_format.MessageToDict(card, preserving_proto_field_name=True) == {
        "task": "TASK_CAPTION_TO_IMAGE",
        "height": 256,
        "width": 256,
        "latent": {"size": 5, "prior": "PRIOR_NORMAL"},
        "spaces": [{"space": "SPACE_Z", "size": 5, "layers": 1}],
        "caption": {
            "max_tokens": 6,
            "vocabulary_asset": "vocabulary.json",
            "attention": [{"tensor": "attention_64", **side_64}, {"tensor": "attention_128", **side_128}],
        },
        "intermediates": [{"tensor": "image_64", **side_64}, {"tensor": "image_128", **side_128}],
        "conditioning": {"size": 3},
    }


def test_the_dcgan_variant_has_no_smaller_images(folder: Path) -> None:
    size = dataclasses.replace(SIZE, residuals=0, paints_all_sizes=False)
    card = attngan.load(published.write(folder, size=size, words=WORDS), SHORT).card
    assert not card.intermediates
    assert [output.tensor for output in card.caption.attention] == ["attention_64", "attention_128"]


def test_the_vocabulary_is_json_sorted_by_word_and_without_the_end(folder: Path) -> None:
    (folder / "captions.pickle").write_bytes(published.captions(["<end>", "red", "bird", "a", *"bcdef"]))
    asset = attngan.load(folder, SHORT).assets["vocabulary.json"]
    words = json.loads(asset)
    assert words == {"red": 1, "bird": 2, "a": 3, "b": 4, "c": 5, "d": 6, "e": 7, "f": 8}
    assert list(words) == sorted(words)


def test_another_vocabulary_makes_another_version(folder: Path) -> None:
    before = attngan.load(folder, SHORT).weights_digest
    (folder / "captions.pickle").write_bytes(published.captions(["<end>", *"abcdefgh"]))
    assert attngan.load(folder, SHORT).weights_digest != before


def test_words_and_sentences_are_those_of_a_packed_lstm() -> None:
    torch.manual_seed(1)
    encoder = CaptionEncoder(WORDS, EMBEDDING, 3).eval()
    tokens, counts = torch.randint(0, WORDS, (6, 6)), torch.tensor([6, 1, 4, 2, 3, 5])
    with torch.inference_mode():
        words, sentence, mask = encoder(tokens, counts[:, None])
        packed = nn.utils.rnn.pack_padded_sequence(encoder.encoder(tokens), counts, True, enforce_sorted=False)
        expected, (last, _) = encoder.rnn(packed)
        padded, _ = nn.utils.rnn.pad_packed_sequence(expected, batch_first=True)
    torch.testing.assert_close(words, padded.transpose(1, 2), rtol=0, atol=1e-6)
    torch.testing.assert_close(sentence, torch.cat([*last], dim=1), rtol=0, atol=1e-6)
    assert mask.sum(dim=1).tolist() == counts.tolist()
    assert not words.masked_select(mask[:, None] == 0).any()


def test_what_stands_beyond_a_captions_end_changes_nothing(folder: Path) -> None:
    network = attngan.load(folder, SHORT)
    inputs = captions(network, 1, 4, 6)
    cleared = {**inputs, "tokens": np.where(np.arange(6) < inputs["token_count"], inputs["tokens"], 0)}
    assert (cleared["tokens"] != inputs["tokens"]).any()
    found, expected = answer(network, inputs), answer(network, cleared)
    for name in ("words", "sentence", "word_mask", "image", "image_64", "image_128", "attention_64", "attention_128"):
        np.testing.assert_array_equal(found[name], expected[name])
    assert not found["attention_128"][0, 1:].any()
    np.testing.assert_allclose(found["attention_64"].sum(axis=1), 1, atol=1e-5)


def test_a_model_of_longer_captions_gives_the_same_images(folder: Path) -> None:
    short, long = (attngan.load(folder, Options("float32", max_tokens)) for max_tokens in (6, 11))
    inputs = captions(short, 2, 6)
    found = answer(long, {**inputs, "tokens": np.pad(inputs["tokens"], ((0, 0), (0, 5)), constant_values=4)})
    expected = answer(short, inputs)
    for name in ("image", "image_64", "image_128", "sentence"):
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found["attention_64"][:, :6], expected["attention_64"], rtol=0, atol=1e-5)


def test_conditioning_noise_and_latent_both_change_the_image(folder: Path) -> None:
    network = attngan.load(folder, SHORT)
    inputs = captions(network, 5)
    image = answer(network, inputs)["image"].astype(int)
    for name in ("conditioning_noise", "latent"):
        changed = answer(network, {**inputs, name: -inputs[name]})["image"].astype(int)
        assert np.abs(changed - image).max() > 10


def test_counts_and_masks_without_words_give_images_all_the_same(folder: Path) -> None:
    network = attngan.load(folder, Options("float32", 6))
    inputs = captions(network, 0, 9, 1)
    found = answer(network, inputs)
    assert np.isfinite(found["image"]).all()
    assert found["word_mask"].sum(axis=1).tolist() == [1, 6, 1]
    features, words = torch.randn(1, 2, 4, 4), torch.randn(1, 6, 3)
    mixture, weights = Attention(2, 6)(features, words, torch.zeros(1, 3, dtype=torch.bool))
    torch.testing.assert_close(weights, torch.full((1, 3, 4, 4), 1 / 3))
    assert mixture.isfinite().all()


def test_it_is_exported_with_its_vocabulary_and_verified(folder: Path, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "models")
    form = Form("attngan", source.digest(folder), options={"max_tokens": "4"}, max_batch_size=3)
    exported = exporter.export(repository, "birds", form, folder)
    assert json.loads((exported.directory / "vocabulary.json").read_text())["word8"] == 8
    assert [asset.name for asset in exported.version.assets] == ["vocabulary.json"]
    card = repository.card("birds")
    assert [(stage.role, stage.model) for stage in card.stages] == [
        ("text_encoder", "birds.text_encoder"),
        ("generator", "birds"),
    ]
    assert list(card.stages[1].inputs) == ["latent", "conditioning_noise", "words", "sentence", "word_mask"]
    # Without the checkpoint the graphs run on token counts of 0.
    for checkpoint in (None, folder):
        assert [result.fault for result in verify(repository, "birds", checkpoint=checkpoint)] == ["", ""]


def test_torchscript_follows_it_in_any_batch(folder: Path, tmp_path: Path) -> None:
    for stage in attngan.load(folder, SHORT).stages:
        torchscript.write(stage, tmp_path / "model.pt")
        scripted = dataclasses.replace(stage, module=torchscript.read(tmp_path / "model.pt"))
        run = runtime.reference(scripted)
        measured = parity.compare(runtime.reference(stage), run, stage.signature, "torch", samples=5)
        assert measured.max_error <= measured.tolerance
        assert determinism.measure(run, stage.signature, 4)  # not UNSPECIFIED: rows do not depend on their batch


@pytest.mark.parametrize(
    ("wrap", "name"),
    [
        (lambda weights: {"netG": weights, "epoch": 7}, "netG_epoch_7.pth"),
        (lambda weights: {f"module.{key}": value for key, value in weights.items()}, "coco_AttnGAN2.pth"),
        (lambda weights: weights, "bird_AttnDCGAN2.pth"),
    ],
)
def test_generators_of_other_names_and_wrappers_are_the_same(
    folder: Path, wrap: Callable[[dict[str, torch.Tensor]], object], name: str
) -> None:
    before = attngan.load(folder, SHORT).weights_digest
    weights = state(folder / "bird_AttnGAN2.pth")
    (folder / "bird_AttnGAN2.pth").unlink()
    torch.save(wrap(weights), folder / name)
    torch.save({"a": torch.zeros(1)}, folder / "image_encoder200.pth")
    torch.save({"a": torch.zeros(1)}, folder / "netD0.pth")
    assert attngan.load(folder, SHORT).weights_digest == before


def test_several_files_of_a_kind_are_named(folder: Path) -> None:
    shutil.copy(folder / "bird_AttnGAN2.pth", folder / "netG_epoch_50.pth")
    with pytest.raises(CheckpointError, match=r"one generator .* found bird_AttnGAN2.pth, netG_epoch_50.pth"):
        attngan.load(folder, SHORT)
    shutil.copy(folder / "text_encoder200.pth", folder / "text_encoder100.pth")
    with pytest.raises(CheckpointError, match=r"one text encoder .* found text_encoder100.pth, text_encoder200.pth"):
        attngan.load(folder, SHORT)


@pytest.mark.parametrize(
    ("file", "what"),
    [("text_encoder200.pth", "text encoder"), ("bird_AttnGAN2.pth", "generator"), ("captions.pickle", "vocabulary")],
)
def test_a_missing_file_is_named(folder: Path, file: str, what: str) -> None:
    (folder / file).unlink()
    with pytest.raises(CheckpointError, match=rf"checkpoint: one {what} \(.*\) is expected, found none"):
        attngan.load(folder, SHORT)


def test_a_file_is_no_folder(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"a folder with text_encoder\*.pth, netG\*.pth, captions.pickle"):
        attngan.load(folder / "bird_AttnGAN2.pth", SHORT)


def test_a_vocabulary_of_another_length_is_refused_with_both_numbers(folder: Path) -> None:
    (folder / "captions.pickle").write_bytes(published.captions(["<end>", "red", "bird"]))
    with pytest.raises(CheckpointError, match=r"knows 9 words and captions.pickle lists 3 "):
        attngan.load(folder, SHORT)


def test_stages_of_different_widths_are_refused_with_both_numbers(folder: Path) -> None:
    torch.save(published.encoder_state(CaptionEncoder(WORDS, EMBEDDING, 4)), folder / "text_encoder200.pth")
    with pytest.raises(CheckpointError, match="words of 8 numbers, the generator takes 6"):
        attngan.load(folder, SHORT)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("bird_AttnGAN2.pth", lambda s: s.pop("h_net3.upsample.1.weight"), r"GF_DIM 2, .*R_NUM 1, B_DCGAN False.*missing: h_net3.upsample.1.weight"),
        ("bird_AttnGAN2.pth", lambda s: s.update(extra=torch.zeros(1)), "bird_AttnGAN2.pth: unexpected: extra"),
        ("bird_AttnGAN2.pth", lambda s: s["h_net1.fc.1.bias"].fill_(float("nan")), "not finite: h_net1.fc.1.bias"),
        ("bird_AttnGAN2.pth", lambda s: s.update({"ca_net.fc.weight": torch.zeros(3)}), r"matrices ca_net.fc.weight and .* found ca_net.fc.weight \(3,\), h_net1"),
        ("bird_AttnGAN2.pth", lambda s: s.update({"h_net1.fc.0.weight": torch.zeros(8, 2)}), r"\(4 C, E\) and .* found \(12, 6\) and \(8, 2\)"),
        ("bird_AttnGAN2.pth", lambda s: s.update({"h_net1.fc.0.weight": torch.zeros(1030, 8)}), r"h_net1.fc.0.weight is \(1030, 8\), not \(1024, 8\)"),
        ("text_encoder200.pth", lambda s: s.pop("rnn.weight_ih_l0_reverse"), "9 words in text_encoder200.pth: missing: rnn.weight_ih_l0_reverse"),
        ("text_encoder200.pth", lambda s: s.update({"rnn.weight_hh_l0": torch.zeros(9, 3)}), r"not an LSTM: .* found \(9, 3\) \(a GRU"),
        ("text_encoder200.pth", lambda s: s.update({"encoder.weight": torch.zeros(9)}), r"a matrix encoder.weight is expected, found \(9,\)"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_named(
    folder: Path, file: str, change: Callable[[dict[str, torch.Tensor]], object], message: str
) -> None:
    weights = state(folder / file)
    change(weights)
    torch.save(weights, folder / file)
    with pytest.raises(CheckpointError, match=message):
        attngan.load(folder, SHORT)


def test_other_networks_are_not_taken_for_it(folder: Path) -> None:
    other = {f"main.{index}.weight": torch.zeros(1) for index in range(3)}
    torch.save(other, folder / "bird_AttnGAN2.pth")
    with pytest.raises(CheckpointError, match=r"not an AttnGAN: .* found main.0.weight, main.1.weight"):
        attngan.load(folder, SHORT)
    torch.save(other, folder / "text_encoder200.pth")
    with pytest.raises(CheckpointError, match=r"not AttnGAN's text encoder: .* found main.0.weight"):
        attngan.load(folder, SHORT)


@pytest.mark.parametrize("file", ["text_encoder200.pth", "bird_AttnGAN2.pth", "captions.pickle"])
def test_truncated_and_corrupted_files_are_refused_by_name(folder: Path, file: str) -> None:
    content = (folder / file).read_bytes()
    for broken in (content[: len(content) // 2], b"\x00" * 100, b""):
        (folder / file).write_bytes(broken)
        with pytest.raises(CheckpointError, match=file):
            attngan.load(folder, SHORT)


@pytest.mark.parametrize("file", ["text_encoder200.pth", "bird_AttnGAN2.pth", "captions.pickle"])
def test_files_that_would_run_a_command_run_nothing_and_publish_nothing(
    folder: Path, tmp_path: Path, file: str
) -> None:
    victim, repository = tmp_path / "victim", Repository(tmp_path / "models")
    malicious = {"encoder.weight": Calls(os.system, f"touch {victim}")}
    if file == "captions.pickle":
        (folder / file).write_bytes(pickle.dumps([[], [], malicious, {}], protocol=2))
    else:
        torch.save(malicious, folder / file)
    with pytest.raises(CheckpointError, match=rf"{file}: refused, .*posix.system.*nothing of it was executed"):
        exporter.export(repository, "birds", Form("attngan", source.digest(folder)), folder)
    assert not victim.exists()
    assert not list((tmp_path / "models").rglob("*"))


@pytest.mark.parametrize("max_tokens", [0, -1])
def test_captions_have_room_for_a_word(max_tokens: int) -> None:
    with pytest.raises(FamilyError, match=f"option 'max_tokens' must be at least 1, not {max_tokens}"):
        Options(max_tokens=max_tokens)
