"""Fixtures for tests that need a real Kafka or PostgreSQL. Nothing starts before a test asks for it."""

from __future__ import annotations

import itertools
import secrets
import signal
from collections.abc import Iterator

import pytest

from tests.harness.cluster import Cluster, fresh_database, running_cluster

# Whoever starts the tests in the background (nohup, &) has these ignored, and children inherit that: tests send them.
for _number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

_numbers = itertools.count(1)
_session = secrets.token_hex(3)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Addresses of a real Kafka and PostgreSQL, shared by the whole session."""
    with running_cluster() as found:
        yield found


@pytest.fixture
def database(cluster: Cluster) -> Iterator[str]:
    """The DSN of an empty database for this test alone. For other scopes: `harness.cluster.fresh_database`."""
    with fresh_database(cluster) as dsn:
        yield dsn


@pytest.fixture
def topic_prefix() -> str:
    """Put it before topic and group names: tests share one broker."""
    return f"t-{_session}-{next(_numbers)}-"
