"""A ledger on a real PostgreSQL, as the tests of the ledger have it."""

from tests.ledger.conftest import ledger

__all__ = ["ledger"]
