"""Go's own sumdb packages accept our checkpoint, tiles, records and proofs: an oracle that shares nothing with us."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from services.records import proofs
from services.records.tree import checkpoint, merkle, note, tiles
from tests.ledger.trees import KEY, Tree, leaves

PROGRAM = Path(__file__).parent / "golang"


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed")
    program = tmp_path_factory.mktemp("go") / "check"
    built = subprocess.run([go, "build", "-o", str(program), "."], cwd=PROGRAM, capture_output=True, text=True, timeout=600)
    if built.returncode != 0 and "golang.org/x/mod" in built.stderr and "dial" in built.stderr:
        pytest.skip("the Go modules cannot be downloaded here")
    assert built.returncode == 0, built.stderr
    return program


@pytest.mark.parametrize(("size", "index", "older"), [(1, 0, 0), (255, 254, 1), (256, 255, 255), (257, 256, 256), (70_000, 65_537, 65_536)])
def test_go_reads_what_we_write(check: Path, tmp_path: Path, size: int, index: int, older: int) -> None:
    tree = Tree(leaves(size))
    tree.write(tmp_path / "log", earlier=(older,))
    hashes = tiles.range_hashes(merkle.inclusion(index, size), tree.read)
    proof = proofs.make(index, tree.leaves[index], bytes(32), hashes, tree.checkpoint())
    (tmp_path / "x.tlog-proof").write_text(str(proof))
    arguments = ["log", "log/log.vkey", "x.tlog-proof", str(index), f"log/checkpoints/{older}"]
    done = subprocess.run([check, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith(f"ok {size} "), done.stdout + done.stderr
    (tmp_path / "log/checkpoint").write_text(tree.checkpoint().replace(f"\n{size}\n", f"\n{size + 1}\n"))
    done = subprocess.run([check, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "FAILED" in done.stdout, "and it does look"


def test_go_reads_a_checkpoint_that_others_have_signed_too(check: Path, tmp_path: Path) -> None:
    tree = Tree(leaves(3))
    tree.write(tmp_path / "log", earlier=(1,))
    signed = checkpoint.sign(tree.head(), [KEY, note.new_signer(KEY.verifier.name)])
    witness = note.new_signer("witness.example.org/w1", note.COSIGNATURE)
    text = str(note.Note(signed.text, (*signed.signatures, witness.sign(signed.text, 1_770_000_000))))
    (tmp_path / "log/checkpoint").write_text(text)
    proof = proofs.make(1, b"", bytes(32), tiles.range_hashes(merkle.inclusion(1, 3), tree.read), text)
    (tmp_path / "x.tlog-proof").write_text(str(proof))
    arguments = ["log", "log/log.vkey", "x.tlog-proof", "1", "log/checkpoints/1"]
    done = subprocess.run([check, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("ok 3 "), done.stdout + done.stderr
