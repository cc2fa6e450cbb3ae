"""The directory: teams with their hours, members with their skills and authority, tiers and specialist desks.

It is the company's own file; Amends manages no users. A team or member that a complaint still names and the directory no
longer knows is no error: the complaint goes to a defined other place, with a warning that says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from shared.policy import yaml_source
from shared.policy.calendars import CalendarRefused, read_calendar
from shared.policy.outcomes import ValueRefused, money
from shared.policy.problems import Problem, describe, did_you_mean

Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class DirectoryRefused(ValueError):
    """The directory cannot be used. The message lists every problem with its place."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Team(_Part):
    """A team at a tier, or a specialist desk. `hours`: a calendar, by name or written out, in which its
    time to answer runs; without it the policy's.

    Of several teams at a tier or desk, work goes to the one whose `skills` name the complaint's category and whose
    `languages` the customer's (as `en`): its own or its members'. It is told of hand-offs by `email`, and at the `chat`
    and `webhook` of those names (docs/how-to/delivery.md).
    """

    id: Id
    name: Line | None = None
    tier: Annotated[int, Field(ge=1, le=9)]
    desk: Name | None = None
    hours: Any = None
    members: list[Id] = []
    skills: list[Name] = []
    languages: list[Name] = []
    authority: dict[Name, Line] = {}
    email: Line | None = None
    chat: Line | None = None
    webhook: Line | None = None


class Member(_Part):
    """A person. `key`: the name of their API key, if it is another than their id.

    `authority`: what they may grant by themselves, per remedy, beyond what the policy allows whoever has the complaint."""

    id: Id
    name: Line | None = None
    key: Line | None = None
    skills: list[Name] = []
    languages: list[Name] = []
    authority: dict[Name, Line] = {}


class _File(_Part):
    tiers: Annotated[list[Line], Field(min_length=1, max_length=9)]
    fallback: Id
    teams: Annotated[list[Team], Field(min_length=1, max_length=1_000)]
    members: Annotated[list[Member], Field(max_length=20_000)] = []


@dataclass(frozen=True, slots=True)
class Directory:
    """One checked version of the directory. Immutable."""

    tiers: tuple[str, ...]
    teams: Mapping[str, Team]
    members: Mapping[str, Member]
    fallback: Team

    @property
    def top_tier(self) -> int:
        return len(self.tiers)

    @property
    def desks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(team.desk for team in self.teams.values() if team.desk is not None))


def read_directory(text: str, *, origin: str) -> tuple[Directory, tuple[str, ...]]:
    """The directory, and warnings about it. Raises DirectoryRefused with every problem that was found."""
    try:
        root = yaml_source.parse(text)
    except yaml_source.YamlRefused as refused:
        raise DirectoryRefused(describe(refused.problem, origin=origin, text=text)) from None
    try:
        file = _File.model_validate(root.plain())
    except ValidationError as error:
        raise DirectoryRefused(
            "\n".join(_told(_of_form(root, dict(each)), origin, text) for each in error.errors(include_url=False))
        ) from None
    problems = [Problem(*root.at(path), None, message) for path, message in _problems(file)]
    if problems:
        raise DirectoryRefused("\n".join(_told(each, origin, text) for each in problems))
    teams = {team.id: team for team in file.teams}
    directory = Directory(tuple(file.tiers), teams, {each.id: each for each in file.members}, teams[file.fallback])
    return directory, tuple(_warnings(directory))


def _problems(file: _File) -> Iterator[tuple[tuple[int | str, ...], str]]:
    known = {team.id for team in file.teams}
    if file.fallback not in known:
        yield ("fallback",), f"there is no team '{file.fallback}'{did_you_mean(file.fallback, known)}"
    seen: set[str] = set()
    for index, team in enumerate(file.teams):
        if team.id in seen:
            yield ("teams", index, "id"), f"two teams are called '{team.id}'"
        seen.add(team.id)
        if team.tier > len(file.tiers):
            yield ("teams", index, "tier"), f"{team.id} is at tier {team.tier}, but only {len(file.tiers)} have names"
        if team.hours is not None:
            try:
                read_calendar(team.hours)
            except CalendarRefused as refused:
                yield ("teams", index, "hours"), f"hours of {team.id}: {refused}"
        yield from _amounts(("teams", index), team.authority)
    seen = set()
    for index, member in enumerate(file.members):
        if member.id in seen:
            yield ("members", index, "id"), f"two members are called '{member.id}'"
        seen.add(member.id)
        yield from _amounts(("members", index), member.authority)


def _amounts(path: tuple[int | str, ...], authority: Mapping[str, str]) -> Iterator[tuple[tuple[int | str, ...], str]]:
    for remedy, text in authority.items():
        try:
            money(text)
        except ValueRefused as refused:
            yield (*path, "authority", remedy), f"{remedy}: {refused}"


def _warnings(directory: Directory) -> Iterator[str]:
    for team in directory.teams.values():
        for each in team.members:
            if each not in directory.members:
                hint = did_you_mean(each, directory.members)
                yield f"{team.id} names a member '{each}' whom the directory does not know{hint}; they get nothing"
    for number, name in enumerate(directory.tiers, 1):
        if not any(team.tier == number and team.desk is None for team in directory.teams.values()):
            yield f"no team is at tier {number} ({name}); the next one up takes its complaints"


def _of_form(root: yaml_source.Node, error: dict[str, Any]) -> Problem:
    path = tuple(step for step in error["loc"] if step != "[key]")
    name = str(path[-1]) if path else "the directory"
    messages = {"extra_forbidden": f"unknown key '{name}'", "missing": f"'{name}' is missing"}
    return Problem(*root.at(path), None, messages.get(error["type"]) or f"{name}: {error['msg']}")


def _told(problem: Problem, origin: str, text: str) -> str:
    return describe(problem, origin=origin, text=text)
