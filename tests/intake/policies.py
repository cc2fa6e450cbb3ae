"""What is in force in tests of intake: what comes with the service."""

from services.intake.reading import default_reader
from shared.policy.distribution.line import Fixed

POLICIES = Fixed(default_reader().policy, others=[default_reader().rules])
