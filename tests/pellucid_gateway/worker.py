"""A program that `workers` can supervise: its supervisor, or a gRPC server whose health service answers its PID.

NOTE: the real gateway does not say which process answered.
"""

import asyncio
import os
import signal
from typing import Any

import grpc
import prometheus_client
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pellucid_gateway import workers

COMMAND = (*workers.COMMAND[:2], "tests.pellucid_gateway.worker")
COUNT = 2
CALLS = prometheus_client.Counter("calls", "Calls answered.")
ALIVE = prometheus_client.Gauge("alive", "Workers alive.", multiprocess_mode="livesum")


class PidServicer(health_pb2_grpc.HealthServicer):
    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> object:  # noqa: N802
        await asyncio.sleep(float(request.service or 0))
        CALLS.inc()
        context.set_trailing_metadata((("pid", str(os.getpid())),))
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)


async def serve() -> None:
    workers.end_with_supervisor()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = grpc.aio.server(options=[("grpc.so_reuseport", 1), ("grpc.max_connection_age_ms", 500)])
    health_pb2_grpc.add_HealthServicer_to_server(PidServicer(), server)
    server.add_insecure_port(os.environ["PELLUCID_ADDRESS"])
    await server.start()
    ALIVE.set(1)
    await stop.wait()
    await server.stop(10)


def main() -> None:
    if "PELLUCID_WORKER" in os.environ:
        asyncio.run(serve())
    else:
        asyncio.run(workers.supervise(os.environ["PELLUCID_ADDRESS"], COUNT, 10, COMMAND))


if __name__ == "__main__":
    main()
