"""Services with one promise broken, so that the tests can show that the checker notices; or with one step made slow.

`python -m tests.faults.mutant NAME services.X.app` runs that service with the mutation NAME.
"""

from __future__ import annotations

import asyncio
import runpy
import sys
from collections.abc import Sequence
from typing import Any


def norevision() -> None:
    """The save ignores the revision: the last one to write wins."""
    from shared.postgres import saves

    fence = " and old.revision = new.revision"
    assert fence in saves.WRITE
    saves.WRITE = saves.WRITE.replace(fence, "")


def noseen() -> None:
    """Events are handled without a look at what was seen before."""
    from shared.postgres.fold import Fold

    def in_any_order(self: Any, row: Any, item: Any, event: Any) -> None:
        self._work.rows[item.subject] = row
        if self._handle(row, item):
            row.seen[event.service] = max(event.sequence, row.seen.get(event.service, 0))

    assert callable(Fold._in_order)
    Fold._in_order = in_any_order  # type: ignore[method-assign]


def ackfirst() -> None:
    """Intake acknowledges, then stores."""
    from services.intake.group_commit import Answer, GroupCommit

    commit = GroupCommit.accept

    async def acknowledge(self: Any, items: Sequence[Any]) -> list[Answer]:
        self.later = asyncio.ensure_future(commit(self, items))
        return ["accepted"] * len(items)

    GroupCommit.accept = acknowledge  # type: ignore[method-assign]


def slowfind() -> None:
    """Not broken: between looking for a command's key and looking at the complaint there is half a second."""
    from shared.postgres import commands

    commands.FIND = """
    select digest, answer from (select pg_sleep(0.5)) as slept left join command on key = $1 where key is not null
    """


MUTANTS = {mutation.__name__: mutation for mutation in (norevision, noseen, ackfirst, slowfind)}


if __name__ == "__main__":
    MUTANTS[sys.argv[1]]()
    runpy.run_module(sys.argv[2], run_name="__main__")
