"""Where the directory comes from: a file, or what was stored over HTTP; read again when it changes.

A new version that cannot be used changes nothing: the last good one stays, and the warnings say so.
"""

from __future__ import annotations

import asyncio
from importlib.resources import files
from pathlib import Path

import structlog

from services.escalation.directory import Directory, DirectoryRefused, read_directory
from shared.postgres.pool import Pool, connection
from shared.telemetry.health import Progress

log = structlog.get_logger(__name__)

EVERY_S = 5.0
NEWEST = "select text from directory order by id desc limit 1"
STORE = "insert into directory (text, stored_by) values ($1, $2)"
PACKAGED = "directory.default.yaml"


class DirectorySource:
    """The directory of one process. `current` never fails: at first it is the packaged example."""

    def __init__(self, *, pool: Pool, file: Path | None, progress: Progress) -> None:
        self._pool = pool
        self._file = file
        self._progress = progress
        self._text = (files("services.escalation") / PACKAGED).read_text(encoding="utf-8")
        self.current, self.warnings = read_directory(self._text, origin=PACKAGED)
        self.origin = PACKAGED

    async def run(self) -> None:
        """Look for a change every few seconds; until cancelled."""
        while True:
            await self.refresh()
            self._progress.beat("directory")
            await asyncio.sleep(EVERY_S)

    async def refresh(self) -> None:
        """Read it again if it has changed."""
        try:
            text, origin = await self._newest()
        except Exception as error:
            log.warning("cannot read the directory; the last one stays", error=type(error).__name__)
            return
        if text is None or text == self._text:
            return
        self._text = text
        try:
            self.current, self.warnings = read_directory(text, origin=origin)
        except DirectoryRefused as refused:
            self.warnings = (f"the newest version cannot be used, the one before stays: {refused}",)
            log.error("directory refused; the last one stays", origin=origin)
            return
        self.origin = origin
        log.info("directory read", origin=origin, teams=len(self.current.teams), warnings=len(self.warnings))

    async def store(self, text: str, by: str) -> tuple[Directory, tuple[str, ...]]:
        """Check it and keep it; every replica has it within seconds. Raises DirectoryRefused."""
        read = read_directory(text, origin="directory")
        async with connection(self._pool) as conn:
            await conn.execute(STORE, text, by)
        await self.refresh()
        return read

    @property
    def stored(self) -> bool:
        """False when a file is the source: then nothing is taken over HTTP."""
        return self._file is None

    async def _newest(self) -> tuple[str | None, str]:
        if self._file is not None:
            return await asyncio.to_thread(self._file.read_text, "utf-8"), self._file.name
        async with connection(self._pool) as conn:
            return await conn.fetchval(NEWEST), "directory"
