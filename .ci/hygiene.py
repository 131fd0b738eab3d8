"""Small things that no linter looks at: stray spaces, conflict marks, big files, files that do not parse."""

# ruff: noqa: INP001 - a script, not a package
from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

MAX_BYTES = 1_000_000
# Published data, and files that other tools wrote: kept as they came.
VERBATIM = {Path("tests/reference"), Path("tests/data/exchange")}
MARKS = ("<" * 7 + " ", ">" * 7 + " ")
PARSERS: dict[str, Callable[[str], object]] = {
    ".json": json.loads,
    ".ipynb": json.loads,
    ".toml": tomllib.loads,
    ".yaml": yaml.safe_load,
    ".yml": yaml.safe_load,
}


def complaints(path: Path) -> Iterator[str]:
    """Say what is wrong with a file."""
    content = path.read_bytes()
    if len(content) > MAX_BYTES:
        yield f"is larger than {MAX_BYTES:,} bytes"
    if b"\0" not in content[:8000]:
        text = content.decode()
        yield from _untidy(text, path.suffix)
        yield from _unparsed(text, path.suffix)


def _untidy(text: str, suffix: str) -> Iterator[str]:
    if "\r" in text:
        yield "has carriage returns"
    if text and (not text.endswith("\n") or text.endswith("\n\n")):
        yield "does not end with one newline"
    for number, line in enumerate(text.split("\n"), 1):
        if line != line.rstrip() and suffix not in {".csv", ".ipynb"}:
            yield f"has a space at the end of line {number}"
        if line.startswith(MARKS):
            yield f"has a mark of an unsolved conflict in line {number}"


def _unparsed(text: str, suffix: str) -> Iterator[str]:
    try:
        PARSERS.get(suffix, str)(text)
    except (ValueError, yaml.YAMLError) as error:
        yield f"does not parse: {error}"


def main() -> int:
    """Look at every file that is, or would be, in version control."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - a constant
    paths = [Path(name) for name in sorted(set(listed.stdout.split("\0")) - {""})]
    paths = [path for path in paths if path.is_file() and VERBATIM.isdisjoint(path.parents)]
    found = [f"{path} {complaint}" for path in paths for complaint in complaints(path)]
    sys.stdout.write("\n".join(found or [f"{len(paths)} files are tidy"]) + "\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
