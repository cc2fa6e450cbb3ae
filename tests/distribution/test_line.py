"""What is in force: by the event's own time, whatever order the records came in."""

from datetime import datetime, timedelta
from typing import Any

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
