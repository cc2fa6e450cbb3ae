"""Who there is, as hand-offs and remedies see it: teams with their tier or desk, members, addresses, authority. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from shared.contracts.complaints import Money
from shared.frozen import dataclass, field
from shared.policy.outcomes import money


@dataclass(frozen=True, slots=True)
class Team:
    """A team of one tier; `desk`: the specialist matters that it deals with. `members`: names of API keys, by person.

    `authority`: how much it may grant of each remedy, as "500 GBP". The addresses say where hand-offs are told. `hours`:
    the calendar (as text) in which its time to answer runs; None: the policy's. `skills` (categories of complaints) and
    `languages` of the team and its members say what it is best at; none means anything.
    """

    title: str
    tier: int
    desk: str | None = None
    authority: Mapping[str, str] = field(default_factory=dict)
    email: str | None = None
    chat: str | None = None
    webhook: str | None = None
    members: Mapping[str, str] = field(default_factory=dict)
    hours: str | None = None
    skills: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()

    @property
    def reachable(self) -> bool:
        """Whether it can be told anything."""
        return any((self.email, self.chat, self.webhook))

    def suits(self, category: str, language: str | None) -> tuple[int, int]:
        """How well, by language and by skill: 2 it is named, 1 none is, 0 only others are."""
        return _named(language, self.languages), _named(category, self.skills)


@dataclass(frozen=True, slots=True)
class Teams:
    """All of them by id. Empty: teams are named by tier and desk, nobody is told, and any key may answer for them.

    `fallback`: the team that takes what no other can. `personal`: what the owner of a key may grant beyond what the policy
    allows whoever has the complaint.
    """

    teams: Mapping[str, Team] = field(default_factory=dict)
    fallback: str | None = None
    personal: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def for_work(self, tier: int, desks: tuple[str, ...], category: str = "other", language: str | None = None) -> str:
        """The team for a tier and its newest desk: the desk's own team, else the lowest that has the tier, else the
        fallback; without a directory a name. Of several the one that suits the complaint best, then the first by name."""
        for desk in reversed(desks):
            own = [name for name, team in self.teams.items() if team.desk == desk and team.tier >= min(tier, self.top)]
            if own:
                return self._best(own, category, language)
        fit = {name: team.tier for name, team in self.teams.items() if team.tier >= tier and team.desk is None}
        if fit:
            return self._best([name for name, of in fit.items() if of == min(fit.values())], category, language)
        if self.fallback is not None:
            return self.fallback
        return desks[-1] if desks and not self.teams else f"tier-{tier}"

    def _best(self, names: Iterable[str], category: str, language: str | None) -> str:
        return max(sorted(names), key=lambda name: self.teams[name].suits(category, language))

    @property
    def top(self) -> int:
        return max((team.tier for team in self.teams.values()), default=3)

    def tier_of(self, key: str) -> int | None:
        """The highest tier that the owner of an API key belongs to; None: not in the directory."""
        tiers = [team.tier for team in self.teams.values() if key in team.members.values()]
        return max(tiers, default=None)

    def is_member(self, team: str, key: str) -> bool:
        """Whether the owner of a key may answer for a team. One that is not (or no longer) known, or empty: anybody may."""
        known = self.teams.get(team)
        return known is None or not known.members or key in known.members.values()

    @property
    def peopled(self) -> bool:
        """Whether anybody is named at all: without names, any key may do what a lead may."""
        return any(team.members for team in self.teams.values())

    def who_may(self, remedy: str, amount: Money) -> list[str]:
        """The teams that may grant so much of a remedy, the lowest tier first."""
        fit = [name for name, team in self.teams.items() if _reaches(team.authority.get(remedy), amount)]
        return sorted(fit, key=lambda name: (self.teams[name].tier, name))

    def tier_that_may(self, remedy: str, amount: Money) -> int | None:
        """The lowest tier whose team may grant so much of a remedy."""
        return min((self.teams[name].tier for name in self.who_may(remedy, amount)), default=None)

    def may_grant(self, key: str, remedy: str, amount: Money) -> bool:
        """Whether the owner of a key may grant so much of a remedy, by a team of theirs or themselves."""
        own = self.personal.get(key, {}).get(remedy)
        return _reaches(own, amount) or any(key in self.teams[name].members.values() for name in self.who_may(remedy, amount))


def _reaches(authority: str | None, amount: Money) -> bool:
    most = money(authority) if authority is not None else None
    return most is not None and most.currency == amount.currency and most.amount >= amount.amount


def _named(asked: str | None, known: Collection[str]) -> int:
    return 1 if not known or asked is None else 2 if asked in known else 0
