"""The events of the topic `records`, written by records."""

from __future__ import annotations

from typing import ClassVar

from shared.contracts.envelope import EventData


class CheckpointSigned(EventData):
    """The ledger had `size` records and the root `root` (base64), and the log's keys have signed that.

    Its subject is no complaint but the log: the keyed id of `origin`. `checkpoint` is the signed note as C2SP's
    tlog-checkpoint has it: who keeps a copy can prove later that nothing before it was changed. It is not a record of
    the ledger itself: a checkpoint that had to cover its own announcement would never be the last.
    """

    TYPE: ClassVar[str] = "amends.ledger.checkpoint_signed.v1"
    origin: str
    size: int
    root: str
    checkpoint: str
