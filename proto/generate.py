"""Compiles the contract: Python stubs beside the .proto files, or a descriptor image for buf.

    python proto/generate.py stubs         writes *_pb2.py, *_pb2.pyi, *_pb2_grpc.py(i)
    python proto/generate.py drift         fails where the stubs are not what the .proto files give
    python proto/generate.py image FILE    writes a FileDescriptorSet with sources and imports

No .proto of others is kept here: google/api and google/rpc come from googleapis-common-protos, and buf/validate,
which the protovalidate wheel contains only as a descriptor, from there. Its stub is generated beside ours, since
protovalidate 2 has none for the google.protobuf runtime.
"""

import sys
import tempfile
from pathlib import Path

import google.api
from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

ROOT = Path(__file__).parent
GOOGLEAPIS = Path(next(iter(google.api.__path__))).parents[1]
VALIDATE = "buf/validate/validate.proto"
WELL_KNOWN = Path(protoc.__file__).parent / "_proto"


def _ours(pattern: str) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(f"pellucid/**/{pattern}"))


def _compile(sources: list[str], *arguments: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        dependencies = Path(scratch, "dependencies.binpb")
        imports = sorted(
            str(path.relative_to(GOOGLEAPIS))
            for folder in ("google/api", "google/rpc")
            for path in (GOOGLEAPIS / folder).glob("*.proto")
        )
        _protoc(
            [
                f"-I{GOOGLEAPIS}",
                f"-I{WELL_KNOWN}",
                "--include_imports",
                f"--descriptor_set_out={dependencies}",
                *imports,
                "google/protobuf/field_mask.proto",
            ]
        )
        files = descriptor_pb2.FileDescriptorSet.FromString(dependencies.read_bytes())
        files.file.add().ParseFromString(validate_pb.desc().proto.to_binary())
        dependencies.write_bytes(files.SerializeToString())
        _protoc([f"-I{ROOT}", f"--descriptor_set_in={dependencies}", *arguments, *sources])


def _protoc(arguments: list[str]) -> None:
    if protoc.main(["protoc", *arguments]) != 0:
        raise SystemExit("protoc failed")


def _stubs(target: Path) -> None:
    _compile([VALIDATE, *_ours("*.proto")], f"--python_out={target}", f"--mypy_out=quiet:{target}")
    _compile(_ours("*_service.proto"), f"--grpc_python_out={target}", f"--mypy_grpc_out=quiet:{target}")


def _generated(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*_pb2*.py*") if path.suffix != ".pyc"
    }


def _check_drift() -> None:
    with tempfile.TemporaryDirectory() as fresh:
        _stubs(Path(fresh))
        wanted, present = _generated(Path(fresh)), _generated(ROOT)
    drifted = sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))
    if drifted:
        raise SystemExit(f"stubs that differ from their .proto files (run `make proto`): {', '.join(drifted)}")


def main() -> None:
    """Run the command given on the command line."""
    match sys.argv[1:]:
        case ["stubs"]:
            _stubs(ROOT)
        case ["drift"]:
            _check_drift()
        case ["image", target]:
            _compile(_ours("*.proto"), "--include_imports", "--include_source_info", f"--descriptor_set_out={target}")
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
