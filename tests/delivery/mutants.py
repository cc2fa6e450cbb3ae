"""The protocol with one of its rules taken away, patched in from outside: the simulation must notice each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

from shared.contracts.envelope import Event
from shared.postgres import commands, outbox, saves, timers
from shared.postgres.fold import Fold
from shared.postgres.inputs import Input, Row
from shared.postgres.pool import connection
from shared.postgres.relay import Relay


@contextlib.contextmanager
def norevision() -> Iterator[None]:
    """Rows are updated whoever saved them meanwhile."""
    with mock.patch.object(saves, "WRITE", _without(saves.WRITE, " and old.revision = new.revision")):
        yield


@contextlib.contextmanager
def noseen() -> Iterator[None]:
    """Events are handled as they come, as often as they come."""

    def handle(self: Any, row: Row[Any], item: Input, event: Event) -> None:
        self._handle(row, item)

    with mock.patch.object(Fold, "_in_order", handle):
        yield


@contextlib.contextmanager
def holdalone() -> Iterator[None]:
    """To hold an event does not save the row, so nobody notices that its predecessor was handled meanwhile."""
    original = Fold._in_order

    def in_order(self: Any, row: Row[Any], item: Input, event: Event) -> None:
        before, held = event.subject in self._work.rows, len(self._work.hold)
        original(self, row, item, event)
        if not before and len(self._work.hold) > held:
            del self._work.rows[event.subject]

    with mock.patch.object(Fold, "_in_order", in_order):
        yield


@contextlib.contextmanager
def deletefirst() -> Iterator[None]:
    """The relay deletes its rows before Kafka has acknowledged them."""
    original = Relay._send_and_delete

    async def send(self: Any, rows: Sequence[Any]) -> None:
        async with connection(self._pool) as conn:
            await outbox.delete(conn, [row_id for row_id, _ in rows])
        await original(self, rows)

    with mock.patch.object(Relay, "_send_and_delete", send):
        yield


@contextlib.contextmanager
def keeptimer() -> Iterator[None]:
    """A timer is deleted in a transaction of its own, after what it fired is saved."""
    read_only = """
select complaint_id, name, due_at, traceparent, 0::float8 as late_s from timer where due_at <= app_now() limit $1
"""
    original = timers.Timers._fire

    async def fire(self: Any) -> None:
        await original(self)
        async with connection(self._pool) as conn:
            for item in self._taken:
                await conn.execute(timers.TAKE_ONE.partition("returning")[0], item.subject, item.body.name, item.body.due_at)

    with mock.patch.object(timers, "TAKE_DUE", read_only), mock.patch.object(timers.Timers, "_fire", fire):
        yield


@contextlib.contextmanager
def nokey() -> Iterator[None]:
    """A command is not looked up by its key."""
    forget = _without(commands.KEEP, " on conflict do nothing") + " on conflict (key) do update set answer = excluded.answer"
    with mock.patch.object(commands, "FIND", commands.FIND + " and false"), mock.patch.object(commands, "KEEP", forget):
        yield


def _without(sql: str, part: str) -> str:
    assert sql.count(part) == 1, f"the mutant does not know this statement any more: {sql}"
    return sql.replace(part, "")


MUTANTS: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
    mutant.__name__: mutant for mutant in (norevision, noseen, holdalone, deletefirst, keeptimer, nokey)
}
