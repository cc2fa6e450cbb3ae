"""What the local stack has noted for the commands: addresses and keys, in `.amends/credentials.json`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TypedDict

from shared.cli import Failed

FOLDER = ".amends"
FILE = "credentials.json"
ENVIRONMENT = "AMENDS_DATA_DIR"


class Local(TypedDict):
    """One local stack. `api_key` may do everything at all of the services."""

    id_key: str
    api_key: str
    database_url: str
    kafka_bootstrap: str
    urls: dict[str, str]


def data_dir(given: Path | None = None) -> Path:
    """The data folder of the local stack: the given one, $AMENDS_DATA_DIR, else `.amends` here or in a folder above."""
    chosen = given or os.environ.get(ENVIRONMENT)
    if chosen:
        return Path(chosen).absolute()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / FOLDER / FILE).is_file():
            return folder / FOLDER
    return here / FOLDER


def read(folder: Path) -> Local | None:
    """What was noted, or None where no local stack was started yet."""
    file = folder / FILE
    try:
        noted: Any = json.loads(file.read_text(encoding="utf-8"))
        return Local(
            id_key=noted["id_key"],
            api_key=noted["api_key"],
            database_url=noted["database_url"],
            kafka_bootstrap=noted["kafka_bootstrap"],
            urls=noted["urls"],
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Failed(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise Failed(
            f"{file} is damaged; delete the folder {folder} to begin again with an empty local stack"
        ) from None


def write(folder: Path, local: Local) -> None:
    """Note it, readable by the owner alone; whoever reads meanwhile finds the old file or the new one."""
    unfinished = folder / f"{FILE}.unfinished"
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(local, file, indent=2)
        file.write("\n")
    unfinished.replace(folder / FILE)
