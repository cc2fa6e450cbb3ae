"""The state of a complaint in escalation: one part for each module of the domain. Pure."""

from __future__ import annotations

from services.escalation.domain.case import Case
from services.escalation.domain.check_ins import Asked
from services.escalation.domain.clocks import Clocks
from services.escalation.domain.conduct import Conduct
from services.escalation.domain.handoffs import HandOffs
from services.escalation.domain.remedies import Remedies
from services.escalation.domain.status import Reports
from services.escalation.domain.tiers import Tiers
from shared.contracts.envelope import EventData
from shared.frozen import dataclass, field
from shared.policy.complaint import ComplaintFacts


@dataclass(frozen=True, slots=True)
class EscalationState:
    """What escalation knows and has decided of a complaint."""

    facts: ComplaintFacts = field(default_factory=ComplaintFacts)
    reports: Reports = field(default_factory=Reports)
    tiers: Tiers = field(default_factory=Tiers)
    clocks: Clocks = field(default_factory=Clocks)
    case: Case = field(default_factory=Case)
    hand_offs: HandOffs = field(default_factory=HandOffs)
    remedies: Remedies = field(default_factory=Remedies)
    conduct: Conduct = field(default_factory=Conduct)
    asked: Asked = field(default_factory=Asked)


Events = tuple[EventData, ...]
Step = tuple[EscalationState, Events]
