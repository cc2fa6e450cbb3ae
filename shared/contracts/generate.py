"""Writes what is generated from the contracts: JSON Schemas, AsyncAPI, docs/flows.md and the README's picture.

python -m shared.contracts.generate           write what has changed
python -m shared.contracts.generate --check   write nothing; exit 1 and name the files that are stale
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from shared.contracts.documents import asyncapi, flow_picture, flows_page, json_schemas

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = "shared/contracts/schemas"
BEGIN, END = "<!-- flow:begin -->", "<!-- flow:end -->"


def generated(root: Path) -> dict[Path, str]:
    """Every generated file under `root`, with the text that it should have."""
    texts = {root / SCHEMAS / name: text for name, text in json_schemas().items()}
    texts[root / "docs/reference/asyncapi.yaml"] = asyncapi()
    texts[root / "docs/flows.md"] = flows_page()
    readme = root / "README.md"
    page = readme.read_text() if readme.is_file() else ""
    if BEGIN in page and END in page:
        texts[readme] = f"{page[: page.index(BEGIN)]}{BEGIN}\n{flow_picture()}\n{page[page.index(END) :]}"
    return texts


def stale(root: Path) -> list[Path]:
    """The files that are missing, differ, or belong to no event type any more."""
    texts = generated(root)
    differing = [path for path, text in texts.items() if not path.is_file() or path.read_text() != text]
    return differing + [path for path in sorted((root / SCHEMAS).glob("*.json")) if path not in texts]


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Returns 0 when done or fresh, 1 when something is stale."""
    parser = argparse.ArgumentParser(
        prog="python -m shared.contracts.generate",
        description="Write the JSON Schemas, AsyncAPI document and pages that are generated from shared/contracts.",
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name the files that are stale")
    check: bool = parser.parse_args(arguments).check
    files = stale(root)
    texts = {} if check else generated(root)
    for path in files:
        if not check and path in texts:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts[path])
        elif not check:
            path.unlink()
        sys.stdout.write(f"{'stale' if check else 'wrote' if path in texts else 'removed'}: {path.relative_to(root)}\n")
    if check and files:
        sys.stdout.write("run: python -m shared.contracts.generate\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
