"""A process that looks like a gateway from outside: it reads its variables and answers health checks."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


def main() -> None:
    """Serve until SIGTERM; print the variables that the launcher gave."""
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    for name in ("PELLUCID_ADDRESS", "PELLUCID_TRITON_ADDRESS", "PELLUCID_MODEL_REPOSITORY"):
        print(f"{name}={os.environ[name]}", flush=True)
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    server = grpc.server(ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(os.environ["PELLUCID_ADDRESS"])
    server.start()
    stopped.wait()
    server.stop(None).wait()


if __name__ == "__main__":
    main()
