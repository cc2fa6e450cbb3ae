"""A witness (https://c2sp.org/tlog-witness): signs that a log only ever grew. Run by another party than the log's operator.

It remembers one checkpoint per log, asks for a proof that the next one continues it, and needs nothing else: no database,
no content, a key of its own. `handle` is the whole protocol; `app` puts it behind HTTP, `submit` is the log's side.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import structlog

from services.records import log_folder
from services.records.signer import write_durably
from services.records.tree import checkpoint, merkle, note
from services.records.tree.checkpoint import Head
from shared.errors import StartRefused
from shared.http.app import Api, make_app
from shared.http.edge import Answer, RawRequest
from shared.telemetry.health import Progress

log = structlog.get_logger(__name__)

PATH = "/add-checkpoint"
MAX_BODY = 100_000
TIMEOUT_S = 5.0
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")
_TEXT, _SIZE = b"text/plain; charset=utf-8", b"text/x.tlog.size"


class Witness:
    """One witness with its key, the logs it knows (by their public keys), and its memory: a folder."""

    def __init__(self, key: note.Signer, logs: Iterable[note.Verifier], memory: Path) -> None:
        if key.verifier.algorithm != note.COSIGNATURE:
            raise StartRefused("this is the key of a log; make one for a witness: amends records keygen FILE --witness --name NAME")
        self._key = key
        self._logs: dict[str, list[note.Verifier]] = {}
        for each in logs:
            self._logs.setdefault(each.name, []).append(each)
        self._memory = memory

    @property
    def verifier(self) -> note.Verifier:
        """Its public key."""
        return self._key.verifier

    def handle(self, body: bytes, at: int) -> Answer:
        """Answer one add-checkpoint request, at `at` (seconds since 1970): 200 with a cosignature, or why not."""
        try:
            old, proof, text = _read(body)
            signed = note.parse(text)
            head = Head.parse(signed.text)
        except (note.BadNote, UnicodeDecodeError) as error:
            return _refuse(400, str(error) if isinstance(error, note.BadNote) else "the request is no text")
        if head.origin not in self._logs:
            return _refuse(404, "this log is not known here")
        try:
            checkpoint.open_trusted(text, self._logs[head.origin])
        except note.BadNote as error:
            return _refuse(403, str(error))
        if old > head.size:
            return _refuse(400, "the old size is larger than the checkpoint's")
        with self._remembering(head.origin) as file:
            before = self._recall(file, head.origin)
            if before.size != old:
                return Answer(b"%d\n" % before.size, 409, _SIZE)
            if head.size == before.size and head.root != before.root:
                log.error("a log has forked", origin=head.origin, size=head.size)
                return Answer(b"%d\n" % before.size, 409, _SIZE)
            if not merkle.verify_consistency(before.size, head.size, proof, before.root, head.root):
                log.error("a log does not continue what it was", origin=head.origin, size=head.size, before=before.size)
                return _refuse(422, "the proof does not show that this tree continues the one that was cosigned")
            write_durably(file, text)
        return Answer(self._key.sign(signed.text, at).line.encode(), 200, _TEXT)

    def look(self, folder: Path, at: int) -> tuple[log_folder.Report, note.Signature | None]:
        """Audit an exported log against what is remembered of it; a cosignature of its checkpoint when all is well."""
        keys = [key for known in self._logs.values() for key in known]
        found = log_folder.audit(folder, keys)
        if not found.valid:
            return found, None
        text = (folder / log_folder.CHECKPOINT).read_text(encoding="utf-8")
        signed = note.parse(text)
        origin = Head.parse(signed.text).origin
        with self._remembering(origin) as file:
            found = log_folder.audit(folder, self._logs[origin], [self._recall(file, origin)])
            if not found.valid:
                return found, None
            write_durably(file, text)
        return found, self._key.sign(signed.text, at)

    def _recall(self, file: Path, origin: str) -> Head:
        try:
            return Head.parse(note.parse(file.read_text(encoding="utf-8")).text)
        except FileNotFoundError:
            return Head(origin, 0, merkle.EMPTY_ROOT)

    @contextmanager
    def _remembering(self, origin: str) -> Iterator[Path]:
        """To look and to remember is one step, also for two processes."""
        self._memory.mkdir(parents=True, exist_ok=True)
        file = self._memory / hashlib.sha256(origin.encode()).hexdigest()
        with file.with_name(file.name + ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield file


def app(witness: Witness) -> Api:
    """Its HTTP API."""
    api = make_app("Amends witness", service="witness", progress=Progress(), max_body=MAX_BODY)

    async def add_checkpoint(request: RawRequest) -> Answer:
        return await asyncio.to_thread(witness.handle, request.body, int(time.time()))

    api.add_raw_route(
        PATH, add_checkpoint, summary="Cosign a checkpoint", operation={"description": "https://c2sp.org/tlog-witness"},
        max_body=MAX_BODY, authenticated=False,
    )  # fmt: skip
    return api


def request(old: int, proof: Sequence[bytes], text: str) -> bytes:
    """The body of an add-checkpoint request."""
    return (f"old {old}\n" + "".join(checkpoint.encode(each) + "\n" for each in proof) + f"\n{text}").encode()


@dataclass(slots=True)
class Address:
    """A witness as its clients know it. `size`: what it cosigned last, as far as we know."""

    url: str
    key: note.Verifier
    size: int = 0


def read_addresses(file: Path) -> list[Address]:
    """The witnesses of a file: a line each with URL and public key. Raises StartRefused."""
    try:
        lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        found = [Address(url.rstrip("/"), note.read_verifier(vkey)) for url, vkey in lines]
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise StartRefused(f"{file} cannot be used: {error}; each line is a URL, a blank, and the witness's public key") from None
    if any(each.key.algorithm != note.COSIGNATURE or not each.url.startswith(("http://", "https://")) for each in found):
        raise StartRefused(f"{file}: each line is a URL (http...), a blank, and the public key of a witness")
    return found


class Cosigners:
    """The log's side: has each new checkpoint cosigned by every witness that answers in time."""

    def __init__(self, witnesses: Sequence[Address]) -> None:
        self._witnesses = witnesses

    async def __call__(
        self, signed: note.Note, head: Head, prove: Callable[[int], Awaitable[list[bytes]]]
    ) -> list[note.Signature]:
        """The cosignatures. A witness that is away or refuses is logged, and does not hold up the log."""
        found = []
        async with httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
            for witness in self._witnesses:
                try:
                    found += await _submit(client, witness, signed, head, prove)
                except (httpx2.HTTPError, httpx2.InvalidURL, note.BadNote, OSError) as error:
                    log.warning("no cosignature", witness=witness.key.name, error=type(error).__name__)
        return found


async def _submit(
    client: httpx2.AsyncClient, witness: Address, signed: note.Note, head: Head, prove: Callable[[int], Awaitable[list[bytes]]]
) -> list[note.Signature]:
    for _ in range(2):  # the second time with the size that the witness told
        old = min(witness.size, head.size)
        answer = await client.post(witness.url + PATH, content=request(old, await prove(old), str(signed)))
        if answer.status_code == 200:
            own = note.Note(signed.text, tuple(note.read_signatures(answer.text)))
            witness.size = head.size
            return note.trusted(own, [witness.key])
        if answer.status_code != 409 or not answer.text.strip().isdecimal() or int(answer.text) == old:
            break
        witness.size = int(answer.text)
        if witness.size > head.size:
            break
    log.error("a witness refuses the checkpoint", witness=witness.key.name, status=answer.status_code, size=head.size)
    return []


def _read(body: bytes) -> tuple[int, list[bytes], str]:
    head, empty, text = body.decode().partition("\n\n")
    first, *lines = head.split("\n")
    old = _OLD.fullmatch(first)
    if old is None or not empty:
        raise note.BadNote("the request is not: a line with the old size, the proof, an empty line, a checkpoint")
    if len(lines) > 63:
        raise note.BadNote("the proof has more than 63 lines")
    proof = [note.unb64(line, "a hash of the proof") for line in lines]
    if any(len(each) != merkle.HASH_SIZE for each in proof):
        raise note.BadNote("a hash of the proof is not 32 bytes long")
    return int(old[1]), proof, text


def _refuse(status: int, why: str) -> Answer:
    return Answer(f"{why}\n".encode(), status, _TEXT)
