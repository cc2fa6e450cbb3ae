"""Signed notes (https://c2sp.org/signed-note) with Ed25519, as Go's sumdb/note reads and writes them.

A verifier key (vkey) is `NAME+HASH+BASE64`, a signer key `PRIVATE+KEY+NAME+HASH+BASE64`: text for files, one a line.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

ED25519 = 0x01
COSIGNATURE = 0x04
MAX_NOTE = 1_000_000
MAX_SIGNATURES = 100
_PREFIX = "PRIVATE+KEY+"
_MARK = "— "
_HASH = re.compile(r"[0-9a-f]{8}")


class BadNote(ValueError):
    """A note, key or signature that cannot be read or trusted; the text says why."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: who claims it, and the bytes behind the key id."""

    name: str
    key_id: int
    value: bytes

    @property
    def line(self) -> str:
        return f"{_MARK}{self.name} {_b64(self.key_id.to_bytes(4, 'big') + self.value)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text (it ends in a newline) and the signatures below it, of which none is checked yet."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return self.text + "\n" + "".join(each.line for each in self.signatures)


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key. `algorithm` 1 signs the text (a log), 4 signs text and time (a witness)."""

    name: str
    public: bytes
    algorithm: int = ED25519

    @property
    def key_id(self) -> int:
        data = self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public
        return int.from_bytes(hashlib.sha256(data).digest()[:4], "big")

    @property
    def vkey(self) -> str:
        """The text form."""
        return f"{self.name}+{self.key_id:08x}+{_b64(bytes([self.algorithm]) + self.public)}"

    def owns(self, signature: Signature) -> bool:
        """Whether the line claims to be of this key."""
        return (signature.name, signature.key_id) == (self.name, self.key_id)

    def verifies(self, text: str, signature: Signature) -> bool:
        """Whether it is."""
        message, value = text.encode(), signature.value
        if self.algorithm == COSIGNATURE:
            if len(value) != 72:
                return False
            message, value = cosigned(text, int.from_bytes(value[:8], "big")), value[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(value, message)
        except (InvalidSignature, ValueError):
            return False
        return self.owns(signature)


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key. `seed` stays out of `repr`."""

    verifier: Verifier
    seed: bytes = field(repr=False)

    @property
    def key(self) -> str:
        """The text form: a secret."""
        own = self.verifier
        return f"{_PREFIX}{own.name}+{own.key_id:08x}+{_b64(bytes([own.algorithm]) + self.seed)}"

    def sign(self, text: str, at: int = 0) -> Signature:
        """The signature of `text`. A witness says with it that it saw this at `at` (seconds since 1970)."""
        private, own = Ed25519PrivateKey.from_private_bytes(self.seed), self.verifier
        if own.algorithm == COSIGNATURE:
            return Signature(own.name, own.key_id, at.to_bytes(8, "big") + private.sign(cosigned(text, at)))
        return Signature(own.name, own.key_id, private.sign(text.encode()))


def cosigned(text: str, at: int) -> bytes:
    """What a witness signs (https://c2sp.org/tlog-cosignature)."""
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def new_signer(name: str, algorithm: int = ED25519) -> Signer:
    """A fresh key. Raises BadNote for a name that cannot be one."""
    private = Ed25519PrivateKey.generate()
    seed = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return _signer(_checked_name(name), algorithm, seed)


def read_verifier(text: str) -> Verifier:
    """A key from its text form. Raises BadNote."""
    name, key_hash, data = _key_parts(text.strip(), "public")
    verifier = Verifier(name, data[1:], data[0])
    if f"{verifier.key_id:08x}" != key_hash:
        raise BadNote("the key's hash does not match the key: it was damaged or changed")
    return verifier


def read_signer(text: str) -> Signer:
    """A private key from its text form. Raises BadNote, never with the key in the text."""
    text = text.strip()
    if not text.startswith(_PREFIX):
        raise BadNote(f"a private key begins with {_PREFIX}")
    name, key_hash, data = _key_parts(text.removeprefix(_PREFIX), "private")
    signer = _signer(name, data[0], data[1:])
    if f"{signer.verifier.key_id:08x}" != key_hash:
        raise BadNote("the private key's hash does not match the key: it was damaged or changed")
    return signer


def parse(text: str) -> Note:
    """The text and the signatures of a note. Raises BadNote."""
    if len(text.encode(errors="surrogatepass")) > MAX_NOTE:
        raise BadNote("the note is too long")
    if any(ord(c) < 0x20 and c != "\n" for c in text):
        raise BadNote("the note holds control characters")
    body, empty, lines = text.rpartition("\n\n")
    if not empty or not body or not lines.endswith("\n"):
        raise BadNote("the note has no signatures: a text, an empty line and lines of signatures are expected")
    found = lines[:-1].split("\n")
    if len(found) > MAX_SIGNATURES:
        raise BadNote("the note has too many signatures")
    return Note(body + "\n", tuple(_signature(line) for line in found))


def read_signatures(text: str) -> list[Signature]:
    """The lines that a witness answers. Raises BadNote."""
    if not text.endswith("\n"):
        raise BadNote("a signature line ends in a newline")
    return [_signature(line) for line in text[:-1].split("\n")]


def trusted(note: Note, keys: Iterable[Verifier]) -> list[Signature]:
    """The signatures by `keys`, each checked. Unknown ones are passed over; a false one by a known key raises BadNote."""
    known, found = list(keys), []
    for signature in note.signatures:
        for key in known:
            if key.owns(signature):
                if not key.verifies(note.text, signature):
                    raise BadNote(f"the signature of {key.name} is false: the text or the signature was changed")
                found.append(signature)
    return found


def sign(text: str, signers: Sequence[Signer]) -> Note:
    """A note with the signatures of all `signers`."""
    return Note(text, tuple(signer.sign(text) for signer in signers))


def _signature(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_MARK).partition(" ")
    if not line.startswith(_MARK):
        raise BadNote("a signature line begins with an em dash and a space")
    data = unb64(encoded, "a signature")
    if len(data) < 5:
        raise BadNote("a signature is too short")
    return Signature(_checked_name(name), int.from_bytes(data[:4], "big"), data[4:])


def _signer(name: str, algorithm: int, seed: bytes) -> Signer:
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return Signer(Verifier(name, public, algorithm), seed)


def _key_parts(text: str, kind: str) -> tuple[str, str, bytes]:
    name, _, rest = text.partition("+")
    key_hash, _, encoded = rest.partition("+")
    if not name or not _HASH.fullmatch(key_hash) or not encoded:
        raise BadNote(f"this is no {kind} key; it has the form NAME+HASH+BASE64, on one line")
    data = unb64(encoded, f"the {kind} key")
    if data[:1] not in (bytes([ED25519]), bytes([COSIGNATURE])) or len(data) != 33:
        raise BadNote(f"the {kind} key is of a kind that is not known here: Ed25519 is")
    return _checked_name(name), key_hash, data


def _checked_name(name: str) -> str:
    if not name or "+" in name or any(c.isspace() or ord(c) < 0x20 for c in name):
        raise BadNote("a key's name is not empty and holds neither blanks nor '+', like complaints.example.com/ledger")
    return name


def unb64(text: str, what: str) -> bytes:
    """Strict base64: the one text that encodes these bytes, and no other."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise BadNote(f"{what} is no base64") from None
    if _b64(data) != text:
        raise BadNote(f"{what} is not written as base64 is")
    return data


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
