"""What can go wrong, in three kinds, and the one place that tells them apart."""

from __future__ import annotations

import asyncio
from typing import Literal

import asyncpg
from aiokafka.errors import KafkaError

Kind = Literal["conflict", "transient", "defect"]


class AmendsError(Exception):
    """Root of the project's own errors. The message is safe to show: no personal data, no secrets."""


class Conflict(AmendsError):
    """Somebody else saved the same complaint (or took the same timer) first: load again, decide again."""


class TooManyDeadLetters(AmendsError):
    """The limit of dead letters is reached: consuming stops rather than drain a topic into quarantine."""


class NotReady(AmendsError):
    """Something that was read at the start has not arrived yet: wait and try again."""


class StartRefused(AmendsError):
    """A service cannot start as configured. The message says what to change."""


# Class 40, such as 40001 serialization failure and 40P01 deadlock: another transaction won, nothing of ours was kept.
_CONFLICTS = (asyncpg.TransactionRollbackError,)
# Whatever says "connection" leaves the outcome unknown: load again, and let revision and sequence decide.
# InternalClientError is how asyncpg reports an idle connection that the server closed (asyncpg #1069).
_TRANSIENT = (
    NotReady,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # 55P03 lock_not_available
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,  # a fail-over in progress
    asyncpg.InvalidCachedStatementError,  # a migration changed a table under a prepared statement
    asyncpg.PostgresSystemError,  # class 58, such as an I/O error
    KafkaError,
    TimeoutError,
    asyncio.TimeoutError,
    OSError,
)


def classify(error: BaseException) -> Kind:
    """`conflict`: decide again at once. `transient`: wait and try again, never skip.

    `defect`: trying the same input again cannot help (bad data, a bug): it belongs to the dead letters.
    """
    if isinstance(error, (Conflict, *_CONFLICTS)):
        return "conflict"
    if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
        return "defect"  # asyncpg's word for a value that no column of that type can hold
    if isinstance(error, _TRANSIENT):
        return "transient"
    return "defect"
