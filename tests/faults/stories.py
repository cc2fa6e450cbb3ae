"""What must have become of each complaint, told again from the events: decisions, status, follow-ups."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime

from tests.faults.journal import Journal
from tests.faults.reading import Event, World

Told = Iterator[tuple[str, str]]  # (complaint id, what is wrong)

CONTACTS = ("amends.complaint.received.v1", "amends.complaint.contact_added.v1")
# The default escalation policy for the sorts of complaints that the client sends: tier, rules that match.
POLICY = {"plain": (1, set()), "injury": (3, {"ESC-010", "ESC-060"}), "urgent": (2, {"ESC-060"}), "fraud": (2, {"ESC-040", "ESC-060"})}
DESKS = {"injury": {"safety"}, "fraud": {"security"}}
DEADLINES = {"plain": ("1d", "56d"), "injury": ("1h", "10d"), "urgent": ("8h", "28d"), "fraud": ("4h", "15d")}


def decisions(journal: Journal, world: World) -> Told:
    """One decision for the first contact, one more whenever a contact raises the tier or needs another desk."""
    for complaint_id in _complaints(journal):
        events = world.by_subject[complaint_id]
        sorts = _sorts(journal, events["intake"])
        expected: list[tuple[int, set[str]]] = []
        rules: set[str] = set()
        tier, desks = 0, set[str]()
        for sort in sorts:
            rules = rules | POLICY[sort][1]
            if POLICY[sort][0] > tier or not DESKS.get(sort, set()) <= desks:
                tier, desks = max(tier, POLICY[sort][0]), desks | DESKS.get(sort, set())
                expected.append((tier, rules))
        made = [e.json() for e in events["escalation"] if e.type == "amends.escalation.decision_made.v1"]
        # Reopened in between: ESC-090 matches too, and changes nothing beside these.
        found = [(d["tier"], set(d["policy"]["rules"]) - {"ESC-090"}) for d in made]
        if found != expected:
            yield complaint_id, f"decided {found}, expected {expected}"
        elif made:
            targets = tuple(clock["target"] for clock in made[0]["clocks"])
            if targets != DEADLINES[sorts[0]]:
                yield (
                    complaint_id,
                    f"a {sorts[0]} complaint got the deadlines {targets}, expected {DEADLINES[sorts[0]]}",
                )


def statuses(journal: Journal, world: World) -> Told:
    """Each change starts where the last one ended; each acknowledged command changed it once, a refused one never."""
    injected = journal.injected()
    commands = {command.text: command for command in journal.commands}
    done: Counter[str] = Counter()
    for subject, services in list(world.by_subject.items()):
        before = "open"
        for event in services["escalation"]:
            if event.type != "amends.escalation.status_changed.v1" or subject in injected:
                continue
            change = event.json()
            if change["previous"] != before or change["status"] == before:
                yield subject, f"from {change['previous']} to {change['status']}, but it was {before}"
            before = change["status"]
            text = change.get("resolution") or change.get("reason") or ""
            done[text] += 1
            given = commands[text].complaint_id if text in commands else ""
            if text.startswith(("resolve number", "close number")) and given != subject:
                yield subject, f"changed by a command that was never given: {text}"
    for command in journal.commands:
        times = done[command.text]
        wrong = times != 1 if command.status == 200 else times > (0 if command.status and command.tries == 1 else 1)
        if wrong:
            yield command.complaint_id, f"{command.text} was answered {command.status} and done {times} times"


def follow_ups(journal: Journal, world: World) -> Told:
    """Plans follow one another, timers stand for what is planned, and each timer that came due fired once."""
    touched = {c.complaint_id for c in journal.commands}
    touched |= {s.complaint_id for s in journal.submissions.values() if s.kind in ("reply", "status")}
    resolved_once = Counter(c.complaint_id for c in journal.commands if c.status == 200)
    others = Counter(s.complaint_id for s in journal.submissions.values() if s.kind != "bot")
    pending: dict[tuple[str, str], datetime] = {}
    for complaint_id in _complaints(journal):
        plan = _Plan()
        for event in world.by_subject[complaint_id]["followup"]:
            wrong = plan.follow(event)
            if wrong:
                yield complaint_id, wrong
        least, most = journal.forced.get(complaint_id, (0, 0))
        if not least <= plan.counts["update_due"] <= most:
            yield complaint_id, f"{plan.counts['update_due']} updates came due, expected {least} to {most}"
        # A serious message behind a plain one makes the updates more frequent: planned anew.
        sorts = _sorts(journal, world.by_subject[complaint_id]["intake"])
        plans = 1 + plan.counts["update_due"] + (sorts[:1] == ["plain"] and any(sort != "plain" for sort in sorts[1:]))
        if complaint_id not in touched and plan.counts["update_scheduled"] != plans:
            yield complaint_id, f"{plan.counts['update_scheduled']} updates planned"
        only_resolved = (resolved_once[complaint_id], others[complaint_id], complaint_id in journal.forced) == (
            1,
            1,
            False,
        )
        if only_resolved and plan.counts["check_in_scheduled"] != 1:
            yield complaint_id, f"resolved once, {plan.counts['check_in_scheduled']} check-ins planned"
        pending |= {(complaint_id, name): due_at for name, due_at in plan.due_at.items()}
    for complaint_id, name in pending.keys() ^ world.timers.keys():
        yield complaint_id, f"{name}: a timer without a plan, or a plan without a timer"
    for key in pending.keys() & world.timers.keys():
        if pending[key] != world.timers[key]:
            yield key[0], f"{key[1]}: planned for {pending[key]}, its timer is set to {world.timers[key]}"


class _Plan:
    """The plan of one complaint, as its events tell it."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.due_at: dict[str, datetime] = {}
        self._planned: dict[str, int] = {}
        self._last: dict[str, int] = defaultdict(int)

    def follow(self, event: Event) -> str:
        """Take the next event; returns what is wrong with it, or ''."""
        what = event.type.removeprefix("amends.followup.").removesuffix(".v1")
        name, _, step = what.rpartition("_")
        self.counts[what] += 1
        if name not in ("update", "check_in") or step not in ("scheduled", "due", "cancelled"):
            return ""  # sent, failed, given to a person: no plan
        data = event.json()
        number = data["number"]
        if step == "scheduled":
            expected = self._planned.get(name, self._last[name] + 1)
            self._planned[name] = self._last[name] = number
            self.due_at[name] = datetime.fromisoformat(data["due_at"])
            return "" if number == expected else f"{name} {number} planned, expected {expected}"
        expected = self._planned.pop(name, 0)
        self.due_at.pop(name, None)
        return "" if number == expected else f"{name} {number} {step}, planned was {expected or 'nothing'}"


def _sorts(journal: Journal, events: list[Event]) -> list[str]:
    """Of a complaint's contacts, in intake's order. That need not be the client's: replicas normalize side by side."""
    contacts = [e.json()["contact"]["source"]["event_id"] for e in events if e.type in CONTACTS]
    return [journal.submissions[event_id].sort for event_id in contacts]


def _complaints(journal: Journal) -> list[str]:
    return sorted({s.complaint_id for s in journal.acknowledged() if s.kind == "contact"})
