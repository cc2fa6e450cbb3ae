"""An exported log as files, touched in every way that a file can be: found, named where it can be, and no traceback."""

from __future__ import annotations

import itertools
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy import cli
from services.records import log_folder
from services.records.tree import checkpoint, note, tiles
from services.records.tree.checkpoint import Head
from tests.ledger.trees import KEY, ORIGIN, Tree, leaves

SIZE = 600  # two full tiles, one of 88
TREE = Tree(leaves(SIZE))
EARLIER = (100, 300, 512)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    folder = tmp_path / "log"
    TREE.write(folder, earlier=EARLIER)
    (tmp_path / "trusted.vkey").write_text(KEY.verifier.vkey + "\n")
    return folder


def verify(log: Path, capsys: pytest.CaptureFixture[str], *more: str, key: str = "trusted.vkey") -> tuple[int, dict[str, object]]:
    code = cli.run(["records", "verify", "--from", str(log), "--public-key", str(log.parent / key), "--json", *more])
    out = capsys.readouterr().out
    return code, json.loads(out) if out else {}


def test_an_untouched_log_is_valid(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = verify(log, capsys)
    assert code == 0
    assert told == {"valid": True, "size": SIZE, "root": checkpoint.encode(TREE.head().root), "first_bad": None, "reason": ""}


def bundle(log: Path, number: int, edit: Callable[[list[bytes]], object]) -> None:
    """Change the records of a bundle."""
    width = min(256, SIZE - number * 256)
    file = log / tiles.path("entries", number, width)
    records, _ = tiles.unbundle(file.read_bytes())
    edit(records)
    file.write_bytes(tiles.bundle(records))


def swapped(records: list[bytes]) -> None:
    records[3], records[9] = records[9], records[3]


@pytest.mark.parametrize(
    ("edit", "first"),
    [
        (lambda r: r.__setitem__(7, b"changed"), 7),
        (lambda r: r.pop(11), 11),
        (lambda r: r.insert(5, b"inserted"), 5),
        (lambda r: r.append(b"one more"), None),
        (swapped, 3),
        (lambda r: r.clear(), 0),
        (lambda r: r.__delitem__(slice(40, None)), 40),
    ],
    ids=["changed", "removed", "inserted", "appended", "swapped", "emptied", "cut"],
)
@pytest.mark.parametrize("number", [0, 1, 2])
def test_records(
    log: Path, capsys: pytest.CaptureFixture[str], number: int, edit: Callable[[list[bytes]], object], first: int | None
) -> None:
    bundle(log, number, edit)
    code, told = verify(log, capsys)
    assert code == 1
    expected = first if first is not None else min(256, SIZE - number * 256)
    assert (told["valid"], told["first_bad"]) == (False, number * 256 + expected), told["reason"]


def remove(path: str) -> Callable[[Path], object]:
    return lambda log: (log / path).unlink()


def cut(path: str, left: int) -> Callable[[Path], object]:
    return lambda log: (log / path).write_bytes((log / path).read_bytes()[:left])


def put(path: str, text: str) -> Callable[[Path], object]:
    def write(log: Path) -> None:
        (log / path).parent.mkdir(exist_ok=True, parents=True)
        (log / path).write_text(text)

    return write


def renamed(path: str, to: str) -> Callable[[Path], object]:
    def move(log: Path) -> None:
        (log / to).parent.mkdir(exist_ok=True)
        (log / path).rename(log / to)

    return move


def more(path: str) -> Callable[[Path], object]:
    return lambda log: (log / path).write_bytes((log / path).read_bytes() * 2)


def claims(size: int, origin: str = ORIGIN, key: note.Signer | None = None) -> str:
    """A checkpoint that is signed as it should be, over nothing that is there."""
    return str(note.sign(Head(origin, size, bytes(32)).text, [key or KEY]))


OTHER = note.new_signer(ORIGIN)
FORKED = Tree([*TREE.leaves[:400], *leaves(200, "forked")])


@pytest.mark.parametrize(
    ("tamper", "first", "said"),
    [
        (remove("checkpoint"), None, "no checkpoint"),
        (remove("tile/entries/001"), 256, "record 256 is missing"),
        (remove("tile/entries/002.p/88"), 512, "record 512 is missing"),
        (remove("tile/0/000"), 0, "stored hash"),
        (remove("tile/1/000.p/2"), None, "level 1, tile 0"),
        (cut("tile/entries/000", 1_000), 91, "record 91 is missing"),
        (cut("tile/entries/002.p/88", 3), 512, "record 512 is missing"),
        (cut("tile/0/001", 4_096), 384, "stored hash of record 384"),
        (cut("tile/0/002.p/88", 40), 513, "stored hash of record 513"),
        (cut("tile/1/000.p/2", 32), None, "level 1"),
        (put("checkpoint", TREE.checkpoint(key=OTHER)), None, "not signed by the given key"),
        (put("checkpoint", TREE.checkpoint().replace("\n600\n", "\n601\n")), None, "false"),
        (put("checkpoint", TREE.checkpoint(512)), 512, "behind record 511"),
        (put("checkpoint", Tree(leaves(601)).checkpoint()), 600, "record 600 is missing"),
        (put("checkpoint", FORKED.checkpoint()), None, "from 512 to 599"),
        (put("checkpoint", "garbage"), None, "no signatures"),
        (put("checkpoint", ""), None, "no signatures"),
        (put("checkpoints/300", FORKED.checkpoint(300) + "x"), None, "checkpoints/300"),
        (put("checkpoints/512", FORKED.checkpoint(512)), None, "from 300 to 511"),
        (put("log.vkey", OTHER.verifier.vkey + "\n"), None, "log.vkey"),
        (put("tile/entries/003", "surplus"), 600, "behind record 599"),
        (put("tile/0/002.p/9", "surplus"), None, "002.p/9"),
        (put("tile/1/001", "surplus"), 600, "behind record 599"),
        (put("tile/2/000.p/1", "surplus"), 600, "behind record 599"),
        (renamed("tile/0/000", "tile/0/000.p/255"), 0, "stored hash of record 0"),
        (renamed("tile/entries/000", "tile/entries/000.p/255"), 255, "behind record 254"),
        (renamed("tile/0/002.p/88", "tile/0/002"), 600, "behind record 599"),
        (more("tile/0/001"), 256, "stored hash of record 256"),
        (more("log.vkey"), None, "log.vkey"),
        (more("checkpoint"), None, "three lines"),
        (put("retired.vkeys", "no key"), None, "retired.vkeys"),
        (put("checkpoint", claims(10**18)), 600, "record 600 is missing"),
        (put("checkpoint", claims(0)), None, "checkpoint of 0"),
        (put("checkpoint", claims(600, "other.example.com/log", note.new_signer("other.example.com/log"))), None, "other.example.com/log"),
        (put("checkpoint", TREE.checkpoint()[:-1]), None, "no signatures"),
        (put("checkpoint", TREE.checkpoint().replace("\n", "\r\n")), None, "control characters"),
        (put("checkpoint", TREE.checkpoint().replace("\n600\n", "\n0600\n")), None, "size is no number"),
        (put("checkpoint", TREE.checkpoint() + "x" * note.MAX_NOTE), None, "too long"),
        (put("checkpoints/300", TREE.checkpoint(300, key=note.new_signer(ORIGIN))), None, "neither by the given key nor"),
    ],
)  # fmt: skip
def test_files(
    log: Path, capsys: pytest.CaptureFixture[str], tamper: Callable[[Path], object], first: int | None, said: str
) -> None:
    tamper(log)
    code, told = verify(log, capsys)
    assert (code, told["valid"]) == (1, False)
    assert said in str(told["reason"])
    assert told["first_bad"] == first


def test_a_forked_history_is_found_by_a_checkpoint_that_was_kept(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = log.parent / "kept"
    kept.write_text(TREE.checkpoint(500))
    shutil.rmtree(log)
    FORKED.write(log, earlier=(100, 300))
    assert verify(log, capsys)[0] == 0, "by itself it is a log like any other"
    code, told = verify(log, capsys, "--checkpoint", str(kept))
    assert (code, told["first_bad"]) == (1, None)
    assert "from 300 to 499" in str(told["reason"])


def test_an_older_copy_is_found_by_a_checkpoint_that_was_kept(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = log.parent / "kept"
    kept.write_text(Tree(leaves(700)).checkpoint())
    code, told = verify(log, capsys, "--checkpoint", str(kept))
    assert (code, told["first_bad"]) == (1, SIZE)
    kept.write_text(Tree(leaves(700)).checkpoint(key=OTHER))
    code, told = verify(log, capsys, "--checkpoint", str(kept))
    assert code == 1, "one that somebody else has signed proves nothing"


def test_what_may_be_there_besides_is_no_alarm(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Partial tiles of an earlier head, as tlog-tiles lets logs keep them, and files that are no tiles."""
    part = log / "tile/0/002.p/9"
    part.write_bytes(TREE.read(0, 512, 9))
    (log / "tile/entries/000.p").mkdir()
    (log / "tile/entries/000.p/77").write_bytes(tiles.bundle(TREE.leaves[:77]))
    (log / "tile/.DS_Store").write_bytes(b"x")
    (log / "README").write_text("for people")
    assert verify(log, capsys)[0] == 0


def found(log: Path) -> bool:
    """As `verify` says it, without the command around it."""
    report = log_folder.audit(log, [KEY.verifier])
    assert report.valid == (not report.reason)
    return not report.valid


def test_two_files_that_changed_places_are_found(log: Path) -> None:
    files = sorted(path for path in log.rglob("*") if path.is_file())
    for one, other in itertools.combinations(files, 2):
        kept = one.read_bytes(), other.read_bytes()
        one.write_bytes(kept[1])
        other.write_bytes(kept[0])
        assert found(log), (one, other)
        one.write_bytes(kept[0])
        other.write_bytes(kept[1])
    assert not found(log)


def test_whatever_file_is_flipped_cut_or_doubled_is_found(log: Path) -> None:
    chance = random.Random(8)
    for file in sorted(path for path in log.rglob("*") if path.is_file()):
        data = file.read_bytes()
        changed = [data[:1], data[: len(data) // 2], data[:-1], data + b"\0", data * 2, b"", b"\xff" * len(data)]
        for at in chance.choices(range(len(data)), k=20):
            changed.append(data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :])
        for each in changed:
            if file.name == "log.vkey" and each.strip() == data.strip():
                continue  # the newline behind a key means nothing
            file.write_bytes(each)
            assert found(log), (file, each)
        file.write_bytes(data)
    assert not found(log)


def test_wrong_use_is_told_apart_from_a_wrong_log(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(log.parent / "nowhere", capsys)[0] == 2
    assert verify(log, capsys, key="nowhere.vkey")[0] == 2
    (log.parent / "bad.vkey").write_text("no key")
    assert verify(log, capsys, key="bad.vkey")[0] == 2
    assert cli.run(["records", "verify", "--from", str(log)]) == 2
    assert "--public-key is needed" in capsys.readouterr().err


def test_a_rotated_key(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While both sign, either key will do; afterwards the new one, and with both every earlier checkpoint is checked too."""
    both = str(checkpoint.sign(TREE.head(), [OTHER, KEY]))
    (log / "checkpoint").write_text(both)
    assert verify(log, capsys)[0] == 0
    (log.parent / "new.vkey").write_text(OTHER.verifier.vkey)
    code, told = verify(log, capsys, key="new.vkey")
    assert (code, told["notes"]) == (0, ["3 earlier checkpoints are signed by keys that were not given"])
    (log / "checkpoint").write_text(str(checkpoint.sign(TREE.head(), [OTHER])))
    (log / "log.vkey").write_text(OTHER.verifier.vkey)
    assert verify(log, capsys)[0] == 1
    (log.parent / "both.vkey").write_text(f"{OTHER.verifier.vkey}\n{KEY.verifier.vkey}\n")
    code, told = verify(log, capsys, key="both.vkey")
    assert (code, "notes" in told) == (0, False)
