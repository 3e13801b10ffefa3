"""A process that says it is ready as `pellucid up --json` does, and serves the toy model."""

import asyncio
import json
import sys

from tests.pellucid_client.servicers import ToyGateway, serve


async def main() -> None:
    server, address = await serve(ToyGateway())
    print("starting", flush=True)
    print(json.dumps({"gateway": address}), flush=True)
    await server.wait_for_termination()


if sys.argv[1:] == ["broken"]:
    sys.exit("no model repository here")
asyncio.run(main())
