"""Publishing, activating, rolling back: what is written, and what is refused with which words."""

from datetime import datetime, timedelta

import pytest

from shared.contracts.policies import EVER, Activation
from shared.policy.distribution import actions
from shared.policy.distribution.actions import MIN_LEAD, NotDone, Request
from shared.policy.distribution.line import canary_at, in_force_at
from shared.policy.distribution.packaged import packaged, packaged_activation
from shared.policy.distribution.records import Records
from tests.distribution.parts import NOW, activation, document, policy, records, version

ANNA, BEN = Request("anna", "because"), Request("ben", "because")
HOUR = timedelta(hours=1)


def after(held: Records, *written: Activation) -> Records:
    return records(*held.versions.values(), *held.of_service("escalation"), *written)


def test_a_version_is_published_once_and_never_changed() -> None:
    held = records(version(1))
    assert actions.publish(held, policy(1), document(1), "anna", NOW) == []
    with pytest.raises(NotDone, match=r"version 1 is published with another content.*higher"):
        actions.publish(held, policy(1, tier=3), document(1, tier=3), "anna", NOW)
    assert [v.version for v in actions.publish(held, policy(2), document(2), "anna", NOW)] == [2]


def test_an_activation_takes_effect_when_every_replica_can_know_it() -> None:
    held = records(version(1), version(2), activation(1, 1))
    (done,) = actions.activate(held, version(2), 1, ANNA, NOW)
    assert (done.seq, done.version, done.effective_from, done.by) == (2, 2, NOW + MIN_LEAD, ("anna",))
    with pytest.raises(NotDone, match=r"not 10 seconds ahead.*--in-the-past"):
        actions.activate(held, version(2), 1, Request("anna", "", NOW), NOW)
    (past,) = actions.activate(held, version(2), 1, Request("anna", "", NOW - HOUR, in_the_past=True), NOW)
    assert past.effective_from == NOW - HOUR
    assert actions.activate(after(held, done), version(2), 1, ANNA, NOW + HOUR) == [], "it is in force already"


def test_two_approvers_are_two_people() -> None:
    held = records(version(1), version(2), activation(1, 1))
    (proposal,) = actions.activate(held, version(2), 2, ANNA, NOW)
    assert proposal.mode == "proposed"
    held = after(held, proposal)
    assert in_force_at(held.of_service("escalation"), NOW + HOUR).version == 1  # type: ignore[union-attr]
    with pytest.raises(NotDone, match=r"needs a second person: anna proposed it"):
        actions.activate(held, version(2), 2, ANNA, NOW)
    (done,) = actions.activate(held, version(2), 2, BEN, NOW + HOUR)
    assert (done.mode, done.by, done.voids) == ("active", ("anna", "ben"), (2,))
    assert done.effective_from >= NOW + HOUR + MIN_LEAD


def test_a_proposal_is_for_one_version_and_does_not_last_for_ever() -> None:
    held = records(version(1), version(2), version(3), activation(1, 1), activation(2, 2, NOW, mode="proposed", by=("anna",)))
    (other,) = actions.activate(held, version(3), 2, BEN, NOW)
    assert other.mode == "proposed"
    (again,) = actions.activate(held, version(2), 2, BEN, NOW + timedelta(days=8))
    assert again.mode == "proposed"


def test_a_rollback_names_what_it_voids_and_counts_at_once() -> None:
    held = records(
        version(1), version(2), version(3), activation(1, 1), activation(2, 2, NOW - HOUR), activation(3, 3, NOW + HOUR)
    )
    (done,) = actions.roll_back(held, version(3), None, ANNA, NOW)
    assert (done.version, done.effective_from, done.voids) == (1, NOW, (2, 3)), "what is scheduled ends too"
    found = after(held, done).of_service("escalation")
    assert [in_force_at(found, NOW + h * HOUR).version for h in (-2, -1, 0, 2)] == [1, 1, 1, 1]  # type: ignore[union-attr]


def test_a_rollback_to_a_version_of_before() -> None:
    held = records(
        *(version(n) for n in (1, 2, 3)), activation(1, 1), activation(2, 2, NOW - 2 * HOUR), activation(3, 3, NOW - HOUR)
    )
    assert actions.roll_back(held, version(3), 2, ANNA, NOW)[0].voids == (3,)
    assert actions.roll_back(held, version(3), 1, ANNA, NOW)[0].voids == (2, 3)
    with pytest.raises(NotDone, match=r"version 4 was not in force before"):
        actions.roll_back(held, version(3), 4, ANNA, NOW)
    with pytest.raises(NotDone, match=r"none to go back to$"):
        actions.roll_back(records(version(1), activation(1, 1)), version(1), None, ANNA, NOW)


def test_what_is_only_scheduled_is_withdrawn_by_going_back_to_what_is_in_force() -> None:
    held = records(version(1), version(2), activation(1, 1), activation(2, 2, NOW + HOUR))
    with pytest.raises(NotDone, match=r"to withdraw only what is scheduled or proposed: --to 1$"):
        actions.roll_back(held, version(2), None, ANNA, NOW)
    assert actions.roll_back(held, version(2), 1, ANNA, NOW)[0].voids == (2,)


def test_rolling_back_a_rollback_goes_on_backwards() -> None:
    held = records(
        *(version(n) for n in (1, 2, 3)), activation(1, 1), activation(2, 2, NOW - 2 * HOUR), activation(3, 3, NOW - HOUR)
    )
    held = after(held, *actions.roll_back(held, version(3), None, ANNA, NOW))
    (second,) = actions.roll_back(held, version(3), None, ANNA, NOW + HOUR)
    assert second.version == 1


def test_a_canary_grows_and_is_ended_by_a_rollback_or_by_the_whole() -> None:
    held = records(version(1), version(2), activation(1, 1))
    few, more = (Request("anna", "carefully", percent=percent) for percent in (10, 50))
    (canary,) = actions.activate(held, version(2), 1, few, NOW)
    assert (canary.mode, canary.percent, canary.effective_from, canary.voids) == ("canary", 10, NOW + MIN_LEAD, ())
    held, later = after(held, canary), NOW + HOUR
    assert actions.activate(held, version(2), 1, few, later) == [], "it is that already"
    held = after(held, *actions.activate(held, version(2), 1, more, later))
    found = held.of_service("escalation")
    assert [canary_at(found, at).percent for at in (later, later + HOUR)] == [10, 50]  # type: ignore[union-attr]
    assert in_force_at(found, later + HOUR).version == 1  # type: ignore[union-attr]

    (ended,) = actions.roll_back(held, version(2), None, ANNA, later + HOUR)
    assert (ended.mode, ended.voids) == ("ended", (2, 3))
    assert canary_at(after(held, ended).of_service("escalation"), later + 2 * HOUR) is None

    (whole,) = actions.activate(held, version(2), 1, ANNA, later + HOUR)
    assert whole.mode == "active"
    found = after(held, whole).of_service("escalation")
    assert canary_at(found, later + 2 * HOUR) is None
    (back,) = actions.roll_back(after(held, whole), version(2), None, ANNA, later + 2 * HOUR)
    assert (back.version, back.voids) == (1, (2, 3, 4)), "the canary that led to it does not come back"


def test_a_canary_needs_two_people_where_the_document_asks_for_two() -> None:
    held = records(version(1), version(2), activation(1, 1))
    few = Request("anna", "carefully", percent=10)
    (proposed,) = actions.activate(held, version(2), 2, few, NOW)
    assert (proposed.mode, proposed.percent) == ("proposed", 10)
    held = after(held, proposed)
    assert actions.activate(held, version(2), 2, Request("ben", "all"), NOW)[0].mode == "proposed", "another proposal"
    (canary,) = actions.activate(held, version(2), 2, Request("ben", "yes", percent=10), NOW)
    assert (canary.mode, canary.by) == ("canary", ("anna", "ben"))


def test_a_shadow_is_ended_by_its_activation_or_by_hand() -> None:
    held = records(version(1), version(2), activation(1, 1))
    (shadow,) = actions.shadow(held, version(2), ANNA, NOW + HOUR, NOW)
    assert (shadow.mode, shadow.effective_from, shadow.ends_at) == ("shadow", NOW, NOW + HOUR)
    held = after(held, shadow)
    assert actions.activate(held, version(2), 1, ANNA, NOW)[0].voids == (2,)
    assert actions.end_shadow(held, version(2), ANNA, NOW)[0].voids == (2,)
    with pytest.raises(NotDone, match=r"has no shadow"):
        actions.end_shadow(records(version(1)), version(1), ANNA, NOW)


def test_the_packaged_default_is_recorded_once_and_steps_back_for_people() -> None:
    new = packaged_activation(packaged(document(1), origin="test"), records())
    assert [type(each).__name__ for each in new] == ["VersionPublished", "Activation"]
    first = new[1]
    assert isinstance(first, Activation)
    assert (first.effective_from, first.packaged) == (EVER, True)
    held = records(version(1), first)
    assert packaged_activation(packaged(document(1), origin="test"), held) == []
    upgrade = packaged_activation(packaged(document(2), origin="test"), held)[1]
    assert isinstance(upgrade, Activation)
    assert upgrade.effective_from > NOW, "a later release's default counts from when it came"
    assert packaged_activation(packaged(document(1), origin="test"), after(held, upgrade)) == [], "an older process changes nothing"
    by_people = records(version(1), version(2), first, activation(2, 2, datetime(2026, 1, 1, tzinfo=NOW.tzinfo)))
    assert packaged_activation(packaged(document(3), origin="test"), by_people) == []


def test_a_packaged_document_that_was_changed_without_a_new_version_is_not_activated() -> None:
    assert packaged_activation(packaged(document(1, tier=3), origin="test"), records(version(1))) == []


def test_unknown_policies_and_versions_are_named() -> None:
    with pytest.raises(NotDone, match=r"no policy 'nonsense' is published; there is test.policy"):
        actions.published(records(version(1)), "nonsense")
    with pytest.raises(NotDone, match=r"has no version 9; it has 1, 2"):
        actions.published(records(version(1), version(2)), "test.policy", 9)
