import grpc
import pytest
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc  # type: ignore[import-untyped]

from pellucid_gateway.telemetry.channelz import channelz_server


async def test_the_channels_of_the_process_are_told_on_loopback() -> None:
    server, port = channelz_server("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = channelz_pb2_grpc.ChannelzStub(channel)
            told = await stub.GetTopChannels(channelz_pb2.GetTopChannelsRequest(start_channel_id=0))
    finally:
        await server.stop(0)
    assert any(one.data.target.endswith(f"127.0.0.1:{port}") for one in told.channel)


@pytest.mark.parametrize("address", ["0.0.0.0:9465", "[::]:9465", "10.0.0.7:9465"])
def test_an_address_that_others_reach_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="is not on loopback"):
        channelz_server(address)
