from pathlib import Path

import pytest

from pellucid_export import triton
from pellucid_export.errors import GraphError, RepositoryError
from pellucid_export.family import Signature, Tensor
from pellucid_export.form import About, Accelerator, Form, Format

pytestmark = pytest.mark.torch

SIGNATURE = Signature(
    inputs=(Tensor("style", "float32", (18, 512)), Tensor("truncation", "float32", ())),
    outputs=(Tensor("image", "uint8", (64, 32, 3), 0, 255),),
)
FORM = Form("any", "sha256:0", max_batch_size=8)

CPU_TEXT = """name: "faces"
version_policy {
  latest {
    num_versions: 2
  }
}
max_batch_size: 8
input {
  name: "style"
  data_type: TYPE_FP32
  dims: 18
  dims: 512
}
output {
  name: "image"
  data_type: TYPE_UINT8
  dims: 64
  dims: 32
  dims: 3
}
instance_group {
  count: 2
  kind: KIND_CPU
}
dynamic_batching {
  priority_levels: 2
  default_priority_level: 1
  default_queue_policy {
    default_timeout_microseconds: 60000000
    allow_timeout_override: true
    max_queue_size: 256
  }
  priority_queue_policy {
    key: 1
    value {
      default_timeout_microseconds: 60000000
      allow_timeout_override: true
      max_queue_size: 256
    }
  }
  priority_queue_policy {
    key: 2
    value {
      default_timeout_microseconds: 60000000
      allow_timeout_override: true
      max_queue_size: 64
    }
  }
}
parameters {
  key: "pellucid.card"
  value {
    string_value: "{}"
  }
}
model_warmup {
  name: "batch_1"
  batch_size: 1
  inputs {
    key: "style"
    value {
      data_type: TYPE_FP32
      dims: 18
      dims: 512
      zero_data: true
    }
  }
}
model_warmup {
  name: "batch_8"
  batch_size: 8
  inputs {
    key: "style"
    value {
      data_type: TYPE_FP32
      dims: 18
      dims: 512
      zero_data: true
    }
  }
}
backend: "onnxruntime"
"""


def test_the_whole_text_of_a_cpu_configuration(tmp_path: Path) -> None:
    signature = Signature(SIGNATURE.inputs[:1], SIGNATURE.outputs)
    triton.write(triton.configure("faces", signature, FORM, {"pellucid.card": "{}"}), tmp_path / "config.pbtxt")
    assert (tmp_path / "config.pbtxt").read_text() == CPU_TEXT


def test_queues_reject_requests_whose_time_is_over() -> None:
    policy = triton.configure("faces", SIGNATURE, FORM, {}).dynamic_batching.default_queue_policy
    assert policy.timeout_action == policy.REJECT
    assert policy.default_timeout_microseconds == 60_000_000


def test_torchscript_keeps_the_order_of_forward() -> None:
    form = Form("any", "sha256:0", format=Format.TORCHSCRIPT)
    config = triton.configure("faces", SIGNATURE, form, {})
    assert config.backend == "pytorch"
    assert [tensor.name for tensor in config.input] == ["style", "truncation"]


def test_a_model_of_single_images_is_warmed_up_once() -> None:
    config = triton.configure("faces", SIGNATURE, Form("any", "sha256:0", max_batch_size=1), {})
    assert [warmup.name for warmup in config.model_warmup] == ["batch_1"]


def test_cuda_only_moves_the_instance() -> None:
    config = triton.configure("faces", SIGNATURE, Form("any", "sha256:0", accelerator=Accelerator.CUDA), {})
    assert [(group.count, group.kind) for group in config.instance_group] == [(1, config.instance_group[0].KIND_GPU)]
    assert not config.HasField("optimization")


def test_tensorrt_has_one_profile_for_all_batches_and_full_precision_unless_asked() -> None:
    form = Form("any", "sha256:0", accelerator=Accelerator.TENSORRT, max_batch_size=8)
    [tensorrt] = triton.configure(
        "faces", SIGNATURE, form, {}
    ).optimization.execution_accelerators.gpu_execution_accelerator
    assert tensorrt.name == "tensorrt"
    assert dict(tensorrt.parameters) == {
        "precision_mode": "FP32",
        "trt_profile_min_shapes": "style:1x18x512,truncation:1",
        "trt_profile_opt_shapes": "style:8x18x512,truncation:8",
        "trt_profile_max_shapes": "style:8x18x512,truncation:8",
    }


def test_tensorrt_takes_half_precision_and_a_cache_on_request() -> None:
    form = Form("any", "sha256:0", accelerator=Accelerator.TENSORRT, fp16=True, engine_cache="/engines")
    [tensorrt] = triton.configure(
        "faces", SIGNATURE, form, {}
    ).optimization.execution_accelerators.gpu_execution_accelerator
    assert tensorrt.parameters["precision_mode"] == "FP16"
    assert tensorrt.parameters["trt_engine_cache_enable"] == "true"
    assert tensorrt.parameters["trt_engine_cache_path"] == "/engines"
    assert tensorrt.parameters["trt_timing_cache_path"] == "/engines"


def test_tensorrt_needs_onnx() -> None:
    form = Form("any", "sha256:0", accelerator=Accelerator.TENSORRT, format=Format.TORCHSCRIPT)
    with pytest.raises(GraphError, match="tensorrt needs format onnx"):
        triton.configure("faces", SIGNATURE, form, {})


def test_a_signature_comes_back_from_its_configuration() -> None:
    found = triton.signature(triton.configure("faces", SIGNATURE, FORM, {}))
    assert [(t.name, t.dtype, t.shape) for t in found.inputs] == [
        ("style", "float32", (18, 512)),
        ("truncation", "float32", ()),
    ]
    assert found.outputs == SIGNATURE.outputs


@pytest.mark.parametrize("content", [b"name: 3", b"\xff\xfe"])
def test_an_unreadable_configuration_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "config.pbtxt").write_bytes(content)
    with pytest.raises(RepositoryError, match=r"config\.pbtxt of 'faces' cannot be read"):
        triton.read(tmp_path / "faces" / "config.pbtxt")


def test_a_form_comes_back_from_its_text() -> None:
    form = Form(
        "dcgan", "sha256:1", "digiface", {"pixels": "float32"}, Format.TORCHSCRIPT, about=About("A", license="MIT")
    )
    assert Form.from_json(form.to_json()) == form
