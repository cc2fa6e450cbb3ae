"""One Kafka and one PostgreSQL for all fault tests: not the session's shared ones, for these are killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.local.stack import LocalStack
from tests.faults.fleet import own_stack


@pytest.fixture(scope="package")
def stack() -> Iterator[LocalStack]:
    with own_stack() as started:
        yield started
