"""A client built from reflection alone."""

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def list_and_render(address: str, model: str) -> tuple[list[str], bytes]:
    """List models and get an image with nothing but what reflection tells: none of our stubs."""
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = descriptor_pool.DescriptorPool(database)

        def call(service: str, method: str, **fields: object) -> object:
            described = pool.FindServiceByName(service).FindMethodByName(method)
            request = message_factory.GetMessageClass(described.input_type)(**fields)
            answer = message_factory.GetMessageClass(described.output_type)
            return channel.unary_unary(
                f"/{service}/{method}", lambda message: message.SerializeToString(), answer.FromString
            )(request, timeout=10)

        models = call("pellucid.v1.ModelService", "ListModels")
        body = call("pellucid.v1.GenerationService", "RenderImage", model=model, seed=3)
        return [model.name for model in models.models], body.data
