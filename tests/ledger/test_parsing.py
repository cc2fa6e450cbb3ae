"""What comes from outside (notes, keys, proofs, requests, bundles): read back as written, and never anything but a refusal."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.records import proofs
from services.records.tree import checkpoint, merkle, note, tiles
from services.records.tree.checkpoint import Head
from services.records.tree.proof import Proof
from services.records.witness import Witness, request
from tests.ledger.trees import KEY, Tree, leaves

NAMES = st.text(st.characters(categories=("L", "N"), include_characters="./-"), min_size=1, max_size=30)
HASHES = st.binary(min_size=32, max_size=32)
TREE = Tree(leaves(20))
W1 = note.new_signer("witness.example.org/w1", note.COSIGNATURE)
VALID = (
    TREE.checkpoint(),
    str(note.Note(TREE.head().text, (KEY.sign(TREE.head().text), W1.sign(TREE.head().text, 5)))),
    KEY.verifier.vkey,
    KEY.key,
    str(Proof(b"extra", 3, tuple(tiles.range_hashes(merkle.inclusion(3, 20), TREE.read)), TREE.checkpoint())),
    request(0, [], TREE.checkpoint()).decode(),
    request(7, tiles.range_hashes(merkle.consistency(7, 20), TREE.read), TREE.checkpoint()).decode(),
)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """Something that was valid, with a piece of it replaced; or any text at all."""
    text = draw(st.sampled_from(VALID) | st.text(max_size=200))
    at, length = draw(st.integers(0, len(text))), draw(st.integers(0, 12))
    return text[:at] + draw(st.text(max_size=8) | st.sampled_from(["\n", "\n\n", "— ", "=", "+", " ", "0", "-1"])) + text[at + length :]


@given(damaged())
def test_whatever_is_no_note_key_or_proof_is_refused_in_words(text: str) -> None:
    for read in (note.parse, note.read_verifier, note.read_signer, note.read_signatures, Proof.parse, Head.parse):
        with contextlib.suppress(note.BadNote):
            read(text)
    with contextlib.suppress(note.BadNote):
        checkpoint.open_trusted(text, [KEY.verifier, W1.verifier])
    with contextlib.suppress(note.BadNote):
        proofs.check(text, b"payload", [KEY.verifier])


@given(damaged() | st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_no_request_gets_an_answer_of_the_witness(tmp_path: Path, sent: str | bytes) -> None:
    body = sent if isinstance(sent, bytes) else sent.encode("utf-8", "surrogatepass")
    answer = Witness(W1, [KEY.verifier], tmp_path).handle(body, 0)
    assert answer.status in (200, 400, 403, 404, 409, 422)
    if answer.status == 200:
        (signature,) = note.read_signatures(answer.body.decode())
        assert W1.verifier.verifies(note.parse(body.decode().partition("\n\n")[2]).text, signature)


@given(NAMES, st.integers(0, 2**62), HASHES)
def test_a_checkpoint_goes_round(name: str, size: int, root: bytes) -> None:
    key = note.new_signer(name)
    head = Head(name, size, root)
    text = str(checkpoint.sign(head, [key]))
    assert checkpoint.open_trusted(text, [note.read_verifier(key.verifier.vkey)])[0] == head
    assert note.read_signer(key.key) == key
    assert str(note.parse(text)) == text


@given(st.binary(max_size=200), st.integers(0, 2**62), st.lists(HASHES, max_size=63), HASHES)
def test_a_proof_goes_round(extra: bytes, index: int, hashes: list[bytes], root: bytes) -> None:
    proof = Proof(extra, index, tuple(hashes), str(checkpoint.sign(Head(KEY.verifier.name, 5, root), [KEY])))
    assert Proof.parse(str(proof)) == proof


@given(st.lists(st.binary(max_size=300), max_size=20), st.binary(max_size=5))
def test_a_bundle_goes_round_and_what_is_behind_it_is_noticed(records: list[bytes], more: bytes) -> None:
    assert tiles.unbundle(tiles.bundle(records)) == (records, 0)
    found, rest = tiles.unbundle(tiles.bundle(records) + more)
    assert found[: len(records)] == records
    assert (len(found) > len(records)) or rest == len(more)


def test_every_bit_of_a_proof_and_its_payload_counts() -> None:
    """A proof of a real record: one bit anywhere, in the proof or in the payload, and it proves nothing."""
    import random

    from services.records import ledger
    from tests.ledger.database import ACTORS, AT, event

    happened = event(7)
    salt, payload = bytes(range(32)), ledger.payload(happened)
    leaf = ledger.leaf(happened, AT, ACTORS["escalation"], ledger.commit(salt, payload))
    tree = Tree([*leaves(5), leaf, *leaves(9)])
    hashes = tiles.range_hashes(merkle.inclusion(5, 15), tree.read)
    text = str(proofs.make(5, leaf, salt, hashes, tree.checkpoint())).encode()
    found = proofs.check(text.decode(), payload, [KEY.verifier])
    assert (found.index, found.event_id, found.recorded_at) == (5, happened.id, AT)
    chance = random.Random(3)
    for data, check in (
        (text, lambda changed: proofs.check(changed.decode("utf-8", "replace"), payload, [KEY.verifier])),
        (payload, lambda changed: proofs.check(text.decode(), changed, [KEY.verifier])),
    ):
        for at in range(len(data)):
            changed = data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
            with pytest.raises(note.BadNote):
                check(changed)
    for other in (event(8), event(7)._replace(type="amends.other.v1")):
        with pytest.raises(note.BadNote):
            proofs.check(text.decode(), ledger.payload(other), [KEY.verifier])
    with pytest.raises(note.BadNote, match="not signed"):
        proofs.check(text.decode(), payload, [note.new_signer(KEY.verifier.name).verifier])
