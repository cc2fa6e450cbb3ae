"""The directory: what is refused and where, and where a complaint goes when a team or a person is not there."""

from __future__ import annotations

import json
import textwrap
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deploy import cli
from services.escalation import directory_api
from services.escalation.directory import Directory, DirectoryRefused, read_directory
from services.escalation.directory_source import DirectorySource
from services.escalation.domain import Book, handling, on_event
from services.escalation.domain.handoffs import HandOver
from services.escalation.handlers import teams_of
from shared.contracts.complaints import ComplaintReceived
from shared.contracts.decision import Decision
from shared.contracts.escalations import HandOffRequested
from shared.http.app import make_app
from shared.http.keys import Authenticator, mint
from shared.policy.document import load_policy
from shared.postgres.migrate import migrate
from shared.postgres.pool import Pool, make_pool
from shared.telemetry.health import Progress
from tests.domain.clock_stories import OWN
from tests.domain.examples import START, contact
from tests.http.conftest import serving

TEXT = """\
tiers: [front line, supervisor, manager]
fallback: managers
teams:
  - {id: front-line, tier: 1, members: [anna, ben, gone], skills: [delivery], authority: {goodwill_payment: 20 GBP}}
  - {id: billing, tier: 1, skills: [billing]}
  - {id: managers, tier: 3}
  - {id: legal, tier: 3, desk: legal}
members:
  - {id: anna, name: Anna, languages: [fr], authority: {goodwill_payment: 50 GBP, discount: 10 GBP}}
  - {id: ben, skills: [returns_refunds]}
  - {id: cleo}
"""
NOW = datetime(2026, 12, 24, 10, tzinfo=UTC)


@pytest.fixture
def directory() -> Directory:
    return read_directory(TEXT, origin="test")[0]


def test_a_complaint_goes_to_its_desk_or_tier_or_the_next_one_up_or_to_the_fallback(directory: Directory) -> None:
    teams = teams_of(directory)
    assert teams.for_work(1, ()) == "billing", "of two at a tier the first by name"
    assert teams.for_work(1, (), "delivery") == "front-line"
    assert teams.for_work(1, (), "returns_refunds") == "front-line", "a member's skill is the team's"
    assert teams.for_work(1, (), "billing", "en") == "billing", "it names no language: any"
    assert teams.for_work(1, (), "billing", "fr") == "front-line", "who speaks the language comes before who knows the matter"
    assert teams.for_work(3, (), "delivery") == "managers"
    assert teams.for_work(1, ("legal",)) == "legal"
    assert teams.for_work(2, ()) == "managers", "no team is at tier 2"
    assert teams.for_work(1, ("safety",)) == "billing", "there is no safety desk"
    assert teams.for_work(9, ()) == "managers"
    only_desks = read_directory(
        "tiers: [one]\nfallback: safety\nteams:\n  - {id: safety, tier: 1, desk: safety}\n", origin="test"
    )[0]
    assert teams_of(only_desks).for_work(1, ()) == "safety"


def test_members_who_are_gone_answer_for_nobody_and_keys_are_by_name(directory: Directory) -> None:
    assert teams_of(directory).teams["front-line"].members == {"anna": "anna", "ben": "ben"}


def test_the_time_to_answer_runs_in_the_teams_own_hours() -> None:
    text = TEXT.replace("{id: managers, tier: 3}", "{id: managers, tier: 3, hours: {zone: UTC, weekly: {fri: [['09:00', '17:00']]}}}")
    teams = teams_of(read_directory(text, origin="test")[0])
    policy = load_policy(OWN.replace("raise_every: 8bh", "raise_every: 8bh, accept_within: 2bh"), origin="test")
    book, desk = Book(policy), handling.Desk(teams)
    data = ComplaintReceived(contact=contact())
    received = handling.follow(None, on_event(None, data, START, book), data, START, book, desk)
    for team, due in (("managers", "2026-03-06T11:00"), ("legal", "2026-03-02T11:30")):
        asked = handling.on_command(received.state, HandOver(team=team, reason="x", by="anna"), START, book, desk)
        assert isinstance(asked, Decision)
        (event,) = [each for each in asked.events if isinstance(each, HandOffRequested)]
        assert event.accept_by.isoformat().startswith(due), team


def test_what_is_odd_is_a_warning() -> None:
    warnings = read_directory(TEXT, origin="test")[1]
    assert any("'gone'" in each for each in warnings)
    assert any("no team is at tier 2 (supervisor)" in each for each in warnings)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("fallback: managers", "fallback: manager", "test:2:1: there is no team 'manager'; did you mean 'managers'?"),
        ("id: billing, tier: 1", "id: billing, tier: 4", "billing is at tier 4, but only 3 have names"),
        ("id: billing", "id: managers", "two teams are called 'managers'"),
        ("20 GBP", "20", "authority"),
        ("20 GBP", "twenty pounds", "goodwill_payment: 'twenty pounds' is not an amount of money"),
        ("skills: [billing]", "skils: [billing]", "unknown key 'skils'"),
        ("skills: [billing]", "hours: uk-busines-hours/2026a", "hours of billing: 'uk-busines-hours/2026a' is neither"),
        ("tiers: [front line, supervisor, manager]\n", "", "'tiers' is missing"),
        ("teams:", "teams: [", "test:"),
    ],
)
def test_a_mistake_is_told_with_its_place(old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(DirectoryRefused) as refused:
        read_directory(TEXT.replace(old, new, 1), origin="test")
    assert said in str(refused.value)


def test_the_example_of_the_how_to_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "leads.md").read_text()
    lines = page[page.index("    tiers: ["):].split("\n\n")[0]
    found, warnings = read_directory(textwrap.dedent(lines), origin="leads.md")
    assert (list(found.teams), warnings) == (["front-line", "billing", "supervisors", "managers", "legal-desk"], ())


def test_check_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(TEXT)
    bad.write_text(TEXT.replace("fallback: managers", "fallback: nobody"))
    assert cli.run(["directory", "check", str(good), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["valid"] is True
    assert cli.run(["directory", "check", str(bad)]) == 1
    assert "bad.yaml:2:1: there is no team 'nobody'" in capsys.readouterr().err
    assert cli.run(["directory", "check", str(tmp_path / "none.yaml")]) == 2


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    await migrate(database, "escalation")
    made = await make_pool(database, service="escalation")
    yield made
    await made.close()


async def test_a_new_file_is_read_and_a_bad_one_changes_nothing(pool: Pool, tmp_path: Path) -> None:
    file = tmp_path / "directory.yaml"
    file.write_text(TEXT)
    source = DirectorySource(pool=pool, file=file, progress=Progress())
    assert source.current.top_tier == 3, "before the file is read, the packaged example"
    await source.refresh()
    assert "billing" in source.current.teams
    file.write_text(TEXT.replace("fallback: managers", "fallback: nobody"))
    await source.refresh()
    assert "billing" in source.current.teams
    assert "cannot be used" in source.warnings[0]
    file.write_text(TEXT.replace("id: billing", "id: money"))
    await source.refresh()
    assert "money" in source.current.teams
    file.unlink()
    await source.refresh()
    assert "money" in source.current.teams


async def test_over_http_it_is_checked_stored_and_known_to_every_replica(pool: Pool) -> None:
    one, two = (DirectorySource(pool=pool, file=None, progress=Progress()) for _ in range(2))
    key, record = mint("operator", ("cases:read", "ops"))
    app = make_app("Test", service="escalation", progress=Progress())
    app.include_router(directory_api.routes(one, Authenticator(_only(record), refresh_s=10.0)))
    headers = {"authorization": f"Bearer {key}"}
    async with serving(app) as client:
        refused = await client.put("/v1/directory", headers=headers, content=b"tiers: []")
        assert refused.status_code == 422
        stored = await client.put("/v1/directory", headers=headers, content=TEXT.encode())
        assert (stored.status_code, stored.json()["teams"]) == (200, 4)
        shown = (await client.get("/v1/directory", headers=headers)).json()
        assert shown["desks"] == ["legal"]
        assert "anna@example.com" not in json.dumps(shown)
    await two.refresh()
    assert two.current == one.current


def _only(record: Any) -> Any:
    async def load() -> list[Any]:
        return [record]

    return load
