"""Triton and the gateway as `pellucid up` starts them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def stack(repository: Path) -> Iterator[dict[str, str]]:
    """Start both on free ports; gives the line that `pellucid up --json` prints when they are ready."""
    command = [sys.executable, "-m", "pellucid_client", "up", "--json", "--repository", str(repository)]
    process = subprocess.Popen(
        [*command, "--address", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise SystemExit("`pellucid up` ended before it was ready")
        yield json.loads(line)
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait(60)
        if process.stdout:
            process.stdout.close()
