"""A copy of a public log, taken over HTTP into a folder as `export-log` writes it, to be checked there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

import httpx2

from services.records.log_folder import CHECKPOINT, EARLIER, MAX_BUNDLE, RETIRED, VKEY, Tell, Writer, read_keys
from services.records.tree import note, tiles
from services.records.tree.checkpoint import Head
from shared.cli import Failed

AT_ONCE, A_TIME = 8, 256
TIMEOUT_S = 30.0
MOST_KEYS = 100_000
Get = Callable[[str, int], bytes]


def fetch(client: httpx2.Client, folder: Path, tell: Tell) -> Head:
    """Fetch what is new of the log at the client's base URL; `tell` hears how many of how many tiles are there.

    Full tiles that lie in `folder` are not fetched again, and the checkpoint that lay there is kept as an earlier one: so the
    audit of the folder also shows that the log continues what was fetched before. Nothing is believed here. Raises Failed.
    """
    get = partial(_get, client)
    text = get(CHECKPOINT, note.MAX_NOTE).decode(errors="replace")
    try:
        head = Head.parse(note.parse(text).text)
        keys = [each.vkey for each in read_keys(get(VKEY, MOST_KEYS).decode(errors="replace"))]
        retired = get(RETIRED, MOST_KEYS).decode(errors="replace")
        before = [each.vkey for each in read_keys(retired)] if retired.strip() else []
    except note.BadNote as error:
        raise Failed(f"{client.base_url} is no log: {error}") from None
    writer = Writer(folder)
    for size, kept in _kept(folder):
        writer.earlier(size, kept)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        places, done = _places(head.size), 0
        while some := list(islice(places, A_TIME)):  # a head may claim any size: the first tile that is not there ends it
            list(threads.map(partial(_one, get, folder, writer), some))
            done += len(some)
            tell(done, _count(head.size))
    writer.keys(keys[0], before)
    writer.finish(text)
    return head


def _places(size: int) -> Iterator[tuple[int | str, int, int]]:
    for level in tiles.levels(size):
        for number, width in tiles.widths(level, size):
            yield level, number, width
            if level == 0:
                yield tiles.ENTRIES, number, width


def _count(size: int) -> int:
    return sum(-(-tiles.count(level, size) // tiles.WIDTH) * (2 if level == 0 else 1) for level in tiles.levels(size))


def _one(get: Get, folder: Path, writer: Writer, place: tuple[int | str, int, int]) -> None:
    name = tiles.path(*place)
    if place[2] == tiles.WIDTH and (folder / name).is_file():
        writer.keep(name)
    else:
        writer.put(name, get(name, MAX_BUNDLE))


def _kept(folder: Path) -> Iterator[tuple[int, str]]:
    """The checkpoints that lie in the folder from before."""
    for path in (folder / CHECKPOINT, *sorted((folder / EARLIER).glob("*"))):
        if path.is_file() and not path.name.startswith("."):
            text = path.read_bytes()[: note.MAX_NOTE].decode(errors="replace")
            try:
                yield Head.parse(note.parse(text).text).size, text
            except note.BadNote:
                raise Failed(f"{path} is no checkpoint: give a new folder") from None


def _get(client: httpx2.Client, name: str, most: int) -> bytes:
    data = b""
    try:
        with client.stream("GET", name) as answer:
            if answer.status_code != 200:
                raise Failed(f"{answer.url}: HTTP status {answer.status_code}")
            for part in answer.iter_bytes():
                data += part
                if len(data) > most:
                    raise Failed(f"{answer.url}: more than {most:,} bytes: this is no log")
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
        raise Failed(f"{client.base_url} is no address of a log") from None
    except httpx2.TransportError as error:
        reason = "not in time" if isinstance(error, httpx2.TimeoutException) else "no connection"
        raise Failed(f"{client.base_url} does not answer ({reason})") from None
    return data
