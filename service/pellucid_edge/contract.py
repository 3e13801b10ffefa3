"""The contract as the edge needs it: the services that are open to the public, and their descriptors."""

from google.api import httpbody_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from google.rpc import error_details_pb2

from pellucid.v1 import (
    analysis_service_pb2,
    generation_service_pb2,
    model_service_pb2,
    translation_service_pb2,
)

_SERVICE_FILES = (
    model_service_pb2.DESCRIPTOR,
    generation_service_pb2.DESCRIPTOR,
    analysis_service_pb2.DESCRIPTOR,
    translation_service_pb2.DESCRIPTOR,
)

SERVICES: tuple[ServiceDescriptor, ...] = tuple(
    service for file in _SERVICE_FILES for service in file.services_by_name.values()
)
"""The services that are open to the public; administration is not among them."""


def files() -> list[FileDescriptor]:
    """Return the files of the public services and all they import, each after what it imports.

    With them are the details of errors and HttpBody, which Envoy must know to write them as JSON.
    """
    found: dict[str, FileDescriptor] = {}
    for file in (*_SERVICE_FILES, error_details_pb2.DESCRIPTOR, httpbody_pb2.DESCRIPTOR):
        _collect(file, found)
    return list(found.values())


def descriptor_set() -> bytes:
    """Return the files as a FileDescriptorSet, made from the installed stubs."""
    wanted = descriptor_pb2.FileDescriptorSet()
    for file in files():
        file.CopyToProto(wanted.file.add())
    return wanted.SerializeToString(deterministic=True)


def _collect(file: FileDescriptor, found: dict[str, FileDescriptor]) -> None:
    if file.name not in found:
        for dependency in file.dependencies:
            _collect(dependency, found)
        found[file.name] = file
