"""The callers of now: the callers file, read again when it changes."""

import asyncio
from pathlib import Path

import structlog

from pellucid_gateway.identity import callers_file
from pellucid_gateway.identity.callers_file import CallersDocument, CallersFileError
from pellucid_gateway.identity.directory import Directory
from pellucid_gateway.identity.file_stamp import file_stamp

_log = structlog.get_logger()


class Callers:
    """Holds the `directory` of the newest good state of a file, or one of nobody without a file.

    Raises CallersFileError where the file is not good from the start.
    """

    def __init__(self, path: Path | None):
        self._path = path
        self._stamp = file_stamp(path) if path else None
        self.directory = Directory(callers_file.read(path) if path else CallersDocument())

    async def watch(self, interval_s: float) -> None:
        """Look for changes every `interval_s` seconds until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            await self.refresh()

    async def refresh(self) -> None:
        """Read the file where it has changed. One that is not good is logged, and what was known stays."""
        if self._path is None or (stamp := file_stamp(self._path)) == self._stamp:
            return
        self._stamp = stamp
        try:
            document = await asyncio.to_thread(callers_file.read, self._path)
        except CallersFileError as error:
            _log.error("callers kept as they were", reason=str(error))
            return
        self.directory = Directory(document)
        _log.info("callers read", callers=len(document.callers))
