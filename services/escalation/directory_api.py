"""The directory over HTTP: what is in use, and a new one."""

from __future__ import annotations

from typing import Any

from fastapi import Request

from services.escalation.directory import DirectoryRefused
from services.escalation.directory_source import DirectorySource
from shared.http.keys import Authenticator
from shared.http.problems import Problem
from shared.http.router import Router

READ, WRITE = "cases:read", "ops"


def routes(source: DirectorySource, keys: Authenticator) -> Router:
    """The routes of the directory."""
    router = Router(tags=["directory"])

    @router.get("/v1/directory", summary="Teams, members, tiers and desks")
    async def show(request: Request) -> dict[str, Any]:
        """What this replica uses now, and what is odd about it: unknown members, tiers without a team, a refused version."""
        await keys.check(request.headers, READ)
        directory = source.current
        return {
            "origin": source.origin,
            "tiers": directory.tiers,
            "desks": directory.desks,
            "fallback": directory.fallback.id,
            "teams": [team.model_dump(exclude_none=True) for team in directory.teams.values()],
            "members": [member.model_dump(exclude_none=True) for member in directory.members.values()],
            "warnings": source.warnings,
        }

    @router.put("/v1/directory", summary="Store a new directory")
    async def put(request: Request) -> dict[str, Any]:
        """The body is YAML as in the file. All of it is checked first; replicas use it within seconds."""
        caller = await keys.check(request.headers, WRITE)
        if not source.stored:
            raise Problem(409, "The directory is a file", "AMENDS_ESCALATION_DIRECTORY_FILE is set: change that file.")
        try:
            text = (await request.body()).decode("utf-8")
        except UnicodeDecodeError:
            raise Problem(400, "Not UTF-8", "The directory must be UTF-8 text.") from None
        try:
            directory, warnings = await source.store(text, caller.name)
        except DirectoryRefused as refused:
            raise Problem(422, "The directory cannot be used", str(refused)) from None
        return {"teams": len(directory.teams), "members": len(directory.members), "warnings": warnings}

    return router
