"""What is in force: by the event's own time, whatever order the records came in."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.policies import EVER, Activation
from shared.policy.distribution.line import in_force_at, line, version_of
from tests.distribution.parts import NOW, activation, policy, records, version

HOUR = timedelta(hours=1)
ALL = {version_of(activation(1, n)): policy(n) for n in range(1, 6)}


def decided_by(*activations: Activation, at: datetime, now: datetime = NOW + 100 * HOUR) -> tuple[int, bool, bool]:
    found = line(policy(1), ALL, activations).in_force(at, now, lag=False)
    return found.version, found.late, found.lag


def test_an_event_is_decided_by_what_was_in_force_at_its_own_time() -> None:
    switch = activation(1, 1), activation(2, 2, NOW)
    assert decided_by(*switch, at=NOW, now=NOW) == (2, False, False)
    assert decided_by(*switch, at=NOW - HOUR, now=NOW - HOUR) == (1, False, False)
    assert decided_by(*switch, at=NOW - HOUR, now=NOW) == (1, True, False)


def test_before_everything_it_is_the_packaged_default() -> None:
    assert decided_by(at=NOW) == (1, False, False)
    assert line(policy(1), {}, []).in_force(NOW, NOW, lag=False).activation == 0


def test_what_is_void_never_counts_also_for_what_happened_while_it_was_in_force() -> None:
    back = activation(3, 1, NOW + 2 * HOUR, voids=(2,))
    assert decided_by(activation(1, 1), activation(2, 2, NOW), back, at=NOW + HOUR) == (1, True, False)
    assert decided_by(activation(1, 1), activation(2, 2, NOW), back, at=NOW + 3 * HOUR) == (1, False, False)


def test_a_version_that_cannot_be_run_here_is_not_passed_off_as_in_force() -> None:
    unknown = activation(2, 2, NOW, digest="sha256:of-something-else")
    assert decided_by(activation(1, 1), unknown, at=NOW) == (1, False, True)
    assert decided_by(activation(1, 1), unknown, at=NOW - HOUR, now=NOW - HOUR) == (1, False, False)


def test_a_pack_runs_beside_and_is_off_before_its_first_activation() -> None:
    of_kind = {"kind": "RegimePolicy", "policy": "regime.test"}
    pack = activation(2, 2, NOW, **of_kind)
    snapshot = line(policy(1), ALL | {version_of(pack): policy(2)}, [activation(1, 1), pack])
    assert [p.version for p in snapshot.packs_in_force(NOW, NOW, lag=False)] == [2]
    assert snapshot.packs_in_force(NOW - HOUR, NOW, lag=False) == ()
    assert snapshot.in_force(NOW, NOW, lag=False).version == 1


COMPLAINTS = [UUID(int=number) for number in range(2_000)]


def share(*activations: Activation, at: datetime = NOW) -> dict[int, set[UUID]]:
    """The complaints by the version that decides about them."""
    snapshot = line(policy(1), ALL, activations)
    found: dict[int, set[UUID]] = {}
    for complaint in COMPLAINTS:
        found.setdefault(snapshot.in_force(at, at, complaint, lag=False).version, set()).add(complaint)
    return found


def test_a_canary_counts_for_its_share_and_a_complaint_never_goes_back_while_the_share_grows() -> None:
    base, few = activation(1, 1), activation(2, 2, NOW - HOUR, mode="canary", percent=10)
    more = activation(3, 2, NOW, mode="canary", percent=50)
    early, late = share(base, few, at=NOW - HOUR), share(base, few, more)
    assert 140 < len(early[2]) < 260
    assert 900 < len(late[2]) < 1_100
    assert early[2] < late[2]
    assert share(base, few, at=NOW - 2 * HOUR) == {1: set(COMPLAINTS)}, "not before its time"
    assert line(policy(1), ALL, [base, few]).in_force(NOW, NOW, lag=False).version == 1, "of no complaint in particular"
    assert share(base, few, more, activation(4, 2, NOW)) == {2: set(COMPLAINTS)}
    less = activation(4, 2, NOW, mode="canary", percent=10)
    assert share(base, few, more, less)[2] == early[2], "the last canary counts, none below it"


def test_a_decision_by_a_canary_says_so_and_whether_it_is_late() -> None:
    base, canary = activation(1, 1), activation(2, 2, NOW, mode="canary", percent=50)
    snapshot, inside = line(policy(1), ALL, [base, canary]), share(base, canary)
    (one, *_), (other, *_) = sorted(inside[2]), sorted(inside[1])
    found = snapshot.in_force(NOW - HOUR, NOW, one, lag=False)
    assert (found.version, found.activation, found.late) == (1, 1, True)
    found = snapshot.in_force(NOW, NOW, one, lag=False)
    assert (found.version, found.activation, found.late) == (2, 2, False)
    assert not snapshot.in_force(NOW - HOUR, NOW, other, lag=False).late, "nothing has changed for this one"
    ended = line(policy(1), ALL, [base, canary, activation(3, 2, NOW, mode="ended", voids=(2,))])
    assert ended.in_force(NOW, NOW, one, lag=False).version == 1
    unknown = line(policy(1), {}, [canary])
    assert (unknown.in_force(NOW, NOW, one, lag=False).lag, unknown.in_force(NOW, NOW, other, lag=False).lag) == (True, False)
    assert unknown.not_runnable(NOW) == ["test.policy version 2"]


ACTIVATIONS = st.lists(
    st.tuples(st.integers(1, 5), st.integers(-3, 3), st.booleans(), st.integers(0, 12)), min_size=1, max_size=8
).map(
    lambda rows: [
        activation(seq, number, NOW + hours * HOUR, voids=(void,) if voids and void < seq else ())
        for seq, (number, hours, voids, void) in enumerate(rows, 1)
    ]
)


@given(ACTIVATIONS, st.integers(-4, 4), st.randoms(use_true_random=False), st.data())
def test_any_order_and_any_repetition_of_the_records_gives_the_same(
    given_: list[Activation], hours: int, random: Any, data: st.DataObject
) -> None:
    shuffled = given_ + data.draw(st.lists(st.sampled_from(given_)))
    random.shuffle(shuffled)
    held = records(*shuffled, *(version(n) for n in range(1, 6))).of_service("escalation")
    at = NOW + hours * HOUR
    found = line(policy(1), ALL, held).in_force(at, at, lag=False)
    # The definition, said otherwise: walk through time, the last activation that has begun and is not void.
    voided = {seq for a in given_ for seq in a.voids}
    expected = (1, 0)
    for a in sorted(given_, key=lambda a: (a.effective_from, a.seq)):
        if a.effective_from <= at and a.seq not in voided:
            expected = (a.version, a.seq)
    assert (found.version, found.activation) == expected
    due = in_force_at(held, at)
    assert (due.seq if due else 0) == expected[1]


def test_the_first_packaged_one_counts_since_ever() -> None:
    assert decided_by(activation(1, 1, EVER), at=datetime.fromisoformat("1990-01-01T00:00:00+00:00"))[0] == 1
