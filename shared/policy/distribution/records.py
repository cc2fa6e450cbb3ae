"""What the policy topics hold, by key: their newest records. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import ValidationError

from shared.contracts.policies import Activation, PolicyRecord, ReplicaStatus, VersionPublished
from shared.contracts.topics import POLICY_ACTIVATIONS, POLICY_STATUS, POLICY_VERSIONS


@dataclass(slots=True)
class Records:
    """Versions and replicas by key, activations by service and seq. `unreadable`: keys of what is no record of its topic."""

    versions: dict[str, VersionPublished] = field(default_factory=dict)
    activations: dict[str, dict[int, Activation]] = field(default_factory=dict)
    statuses: dict[str, ReplicaStatus] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)

    def add(self, topic: str, key: str, value: bytes | None) -> PolicyRecord | None:
        """Take in one record of the logical `topic`; returns it. None: removed, or not readable (by this version of Amends).

        Only a status can be removed: versions and activations are there for ever, whatever a record says.
        """
        if value is None:
            if topic == POLICY_STATUS:
                self.statuses.pop(key, None)
            return None
        try:
            return self._add(topic, key, value)
        except ValidationError:
            self.unreadable.add(f"{topic}: {key}")
            return None

    def _add(self, topic: str, key: str, value: bytes) -> PolicyRecord:
        if topic == POLICY_VERSIONS:
            version = VersionPublished.model_validate_json(value)
            self.versions[version.key] = version
            return version
        if topic == POLICY_ACTIVATIONS:
            activation = Activation.model_validate_json(value)
            self.activations.setdefault(activation.service, {})[activation.seq] = activation
            return activation
        self.statuses[key] = ReplicaStatus.model_validate_json(value)
        return self.statuses[key]

    def of_service(self, service: str) -> list[Activation]:
        """The activations of a service, by seq."""
        found = self.activations.get(service, {})
        return [found[seq] for seq in sorted(found)]
