"""What `amends followup plan` is given: a resolved complaint as JSON, read generously and refused in clear words."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, get_args

from services.followup.domain.channels import CHANNELS
from services.followup.domain.plan import Reach
from services.followup.plan_values import Values, shown
from shared.contracts.complaints import Category, Channel, SupportNeed
from shared.policy.evaluate import Policy
from shared.policy.facts_json import read_facts

_TOP = ("complaint", "customer", "policy", "as_of")
_COMPLAINT = (
    "status", "resolved_at", "remedy", "received_at", "last_contact_at", "severity", "category", "tags", "channel",
    "contact_preference", "customer", "contacted", "id",
)  # fmt: skip
_CUSTOMER = (
    "zone", "locale", "contact_preference", "quiet_hours", "quiet_list", "deceased", "emails", "phones", "reachable",
    "support_needs", "vulnerable", "history", "contacted", "country", "name", "ref", "postcode",
)  # fmt: skip
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
NOWHERE = Reach("UTC")


@dataclass(slots=True)
class Given:
    """The complaint of one file. `facts` has one entry for each remedy. `problems`: why nothing can be planned."""

    facts: list[dict[str, Any]] = field(default_factory=list)
    resolved_at: datetime = NEVER
    now: datetime = NEVER
    reach: Reach = NOWHERE
    zone_from: str = "the policy's calendar"
    locale: str | None = None
    none_because: str | None = None
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read(document: Any, policy: Policy) -> Given:
    """The facts that `document` (decoded JSON) states. Never raises for what is in it: see `problems`."""
    given = Given()
    if not isinstance(document, dict):
        given.problems.append('the file must hold an object such as {"complaint": {"resolved_at": ..., "remedy": ...}}')
        return given
    return _Reader(given, policy).read(document)


class _Reader:
    """Reads one document; each finding goes to `given`."""

    def __init__(self, given: Given, policy: Policy) -> None:
        self._given = given
        self._policy = policy
        self._values = Values(policy.calendar_zone, given.problems, given.warnings)

    def read(self, document: dict[str, Any]) -> Given:
        top = self._values.named("", document, (*_TOP, *_COMPLAINT, *_CUSTOMER))
        complaint = self._values.object("complaint", top.pop("complaint", None), _COMPLAINT + _CUSTOMER)
        customer = self._values.object("customer", top.pop("customer", None), _CUSTOMER)
        customer |= self._values.object("complaint.customer", complaint.pop("customer", None), _CUSTOMER)
        top.pop("policy", None)
        # A flat file is read as if its names stood where they belong.
        complaint = {name: value for name, value in top.items() if name != "as_of"} | complaint
        for name in _CUSTOMER:
            if name in complaint:
                customer.setdefault(name, complaint[name])
        if self._values.read_zone(customer.get("zone")):
            self._given.zone_from = "the customer"
        status = self._values.status(complaint.get("status"))
        if status in ("open", "waiting"):
            self._given.none_because = f"the complaint is {status}: check-ins are planned when it is resolved"
            return self._given
        self._times(top.get("as_of"), complaint)
        if not self._given.problems:
            self._facts(complaint, customer)
            self._given.locale = self._values.text("customer.locale", customer.get("locale"))
            self._given.reach = self._reach(complaint, customer)
        return self._given

    def _times(self, as_of: Any, complaint: dict[str, Any]) -> None:
        given = self._given
        resolved_at = self._values.instant("complaint.resolved_at", complaint.get("resolved_at"))
        now = self._values.instant("as_of", as_of)
        if complaint.get("resolved_at") is None:
            resolved_at = now
            if now is None:
                given.problems.append("complaint.resolved_at is missing: check-ins are counted from the resolution")
            else:
                given.warnings.append("complaint.resolved_at is missing; as_of was taken")
        if resolved_at is not None:
            given.resolved_at, given.now = resolved_at, now or resolved_at
        if resolved_at is not None and now is not None and now < resolved_at:
            given.problems.append(
                f"as_of ({now:%Y-%m-%dT%H:%MZ}) is before complaint.resolved_at ({resolved_at:%Y-%m-%dT%H:%MZ}): "
                "nothing is resolved by then"
            )
        for name in ("received_at", "last_contact_at"):
            complaint[name] = self._values.instant(f"complaint.{name}", complaint.get(name)) or resolved_at
        received_at = complaint["received_at"]
        if resolved_at is not None and received_at is not None and received_at > resolved_at:
            given.problems.append("complaint.received_at is after complaint.resolved_at")

    def _facts(self, complaint: dict[str, Any], customer: dict[str, Any]) -> None:
        schema, given = self._policy.schema, self._given
        needs = self._values.words("customer.support_needs", customer.get("support_needs"), get_args(SupportNeed))
        facts: dict[str, Any] = {
            "severity": complaint.get("severity", 1),
            "category": self._values.word("complaint.category", complaint.get("category"), get_args(Category), "other"),
            "tags": complaint.get("tags") or [],
            "status": complaint.get("status") or "resolved",
            "received_at": complaint["received_at"].isoformat(),
            "last_contact_at": complaint["last_contact_at"].isoformat(),
            "resolved_at": given.resolved_at.isoformat(),
            "contact_preference": self._preference(complaint, customer),
            "channel": self._values.word("complaint.channel", complaint.get("channel"), get_args(Channel), "unknown"),
            "customer": {"vulnerable": customer.get("vulnerable", bool(needs)), "history": customer.get("history") or []},
        }
        remedies = self._values.remedies(complaint.get("remedy"))
        problems: list[str] = []
        for told in [facts | {"remedy": remedy} for remedy in remedies] or [facts]:
            read_in, wrong = read_facts(schema, {"as_of": given.now.isoformat(), "complaint": told})
            given.facts.append(read_in)
            problems += wrong
        given.problems += dict.fromkeys(problems)

    def _reach(self, complaint: dict[str, Any], customer: dict[str, Any]) -> Reach:
        facts = self._given.facts[0]["complaint"] if self._given.facts else {}
        times = customer.get("contacted") or complaint.get("contacted") or []
        if not isinstance(times, list):
            self._given.problems.append(f"contacted must be a list of times, not {shown(times)}")
            times = []
        contacted = [self._values.instant(f"contacted[{number}]", at) for number, at in enumerate(times)]
        return Reach(
            zone=self._values.zone,
            preference=facts.get("contact_preference", "any"),
            came_by=facts.get("channel", "unknown"),
            reachable=self._reachable(customer),
            quiet_hours=self._values.quiet_hours(customer.get("quiet_hours")),
            contacted=tuple(at for at in contacted if at is not None),
            silent=self._silent(customer),
            calendar=self._policy.calendar,
        )

    def _silent(self, customer: dict[str, Any]) -> str:
        for name, why in (("deceased", "the customer has died"), ("quiet_list", "the customer is on the quiet list")):
            value = customer.get(name)
            if value is not None and not isinstance(value, bool):
                self._given.problems.append(f"customer.{name} must be true or false, not {shown(value)}")
            if value is True:
                return why
        return ""

    def _reachable(self, customer: dict[str, Any]) -> tuple[str, ...]:
        if "reachable" in customer:
            return self._values.words("customer.reachable", customer["reachable"], CHANNELS)
        if "emails" not in customer and "phones" not in customer:
            return ()
        ways = (("emails", ("email",)), ("phones", ("sms", "phone")))
        found = tuple(channel for name, channels in ways if self._values.addresses(name, customer) for channel in channels)
        if not found:
            self._given.warnings.append("customer.emails and customer.phones are empty: without an address it is a task for a person")
        return found

    def _preference(self, complaint: dict[str, Any], customer: dict[str, Any]) -> str:
        """A wrong word here is never guessed: the customer may have asked for no contact."""
        values = [complaint.get("contact_preference"), customer.get("contact_preference")]
        said = [self._values.preferred(value) for value in (values if values[0] != values[1] else values[:1])]
        if "none" in said:  # said in one place, it holds
            return "none"
        return next((word for word in said if word != "any"), "any")
