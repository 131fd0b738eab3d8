"""Tables in files: rows to answer come in, answered calls go out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KINDS", "is_file_name", "read_rows", "write_rows"]

#: The endings of files that hold rows.
KINDS: Final = (".csv", ".tsv", ".jsonl", ".json")

#: What a spreadsheet would take for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def is_file_name(text: str) -> bool:
    """Whether a text names a file of rows rather than a dataset."""
    return text.lower().endswith(KINDS)


def read_rows(path: str | Path) -> pd.DataFrame:
    """Read rows from CSV, TSV, JSON lines or a JSON list of objects; in CSV only an empty cell is missing.

    Raises:
        DataError: the file is missing, has another ending, or does not parse.

    """
    import pandas as pd

    place = Path(path).expanduser()
    kind = place.suffix.lower()
    if kind not in KINDS:
        raise DataError(f"{str(path)!r:.200} is no file of rows", cure=f"give one of {', '.join(KINDS)}")
    try:
        text = place.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(
            f"{str(path)!r:.200} cannot be read: {error.strerror}", cure="see whether it is there"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{str(path)!r:.200} is not UTF-8: {error.reason}", cure="save it as UTF-8"
        ) from error
    if kind in {".jsonl", ".json"}:
        return pd.DataFrame(_objects(text, kind, str(path)))
    import io

    try:
        return pd.read_csv(
            io.StringIO(text), sep="\t" if kind == ".tsv" else ",", keep_default_na=False, na_values=[""]
        )
    except ValueError as error:  # pandas' errors of its parser are ValueErrors
        raise DataError(
            f"{str(path)!r:.200} does not parse: {str(error).strip()}",
            cure="the first line names the columns",
        ) from error


def write_rows(frame: pd.DataFrame, path: str | Path) -> Path:
    """Write a frame as CSV, TSV or JSON lines; in the first two a text that would be a formula gets an apostrophe.

    Raises:
        DataError: the file cannot be written, or has another ending.

    """
    place = Path(path).expanduser()
    kind = place.suffix.lower()
    try:
        if kind in {".csv", ".tsv"}:
            safe = frame.map(_harmless)
            safe.columns = [_harmless(str(name)) for name in safe.columns]
            # as RFC 4180 has it; with a bare newline, a text with a carriage return would not be quoted
            safe.to_csv(place, index=False, sep="\t" if kind == ".tsv" else ",", lineterminator="\r\n")
        elif kind == ".jsonl":
            rows = frame.astype(object).where(frame.notna(), None).to_dict(orient="records")
            lines = [json.dumps(row, default=_plain, ensure_ascii=False) for row in rows]
            place.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", errors="replace")
        else:
            raise DataError(
                f"{str(path)!r:.200} has no ending that is known", cure="write .csv, .tsv or .jsonl"
            )
    except OSError as error:
        raise DataError(
            f"{str(path)!r:.200} cannot be written: {error.strerror}",
            cure="see whether the folder is there and who may write",
        ) from error
    return place


def _objects(text: str, kind: str, path: str) -> list[dict[str, Any]]:
    numbered = [(None, text)] if kind == ".json" else list(enumerate(text.splitlines(), 1))
    found: list[dict[str, Any]] = []
    for number, part in numbered:
        where = f"{path!r:.200}{f', line {number}' if number else ''}"
        if not part.strip():
            continue
        try:
            value = json.loads(part)
        except ValueError as error:
            raise DataError(f"{where} is not JSON: {error}", cure="one object a line in .jsonl") from error
        rows = value if kind == ".json" else [value]
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise DataError(f"{where} holds no objects", cure='write {"column": value, …}')
        found += rows
    return found


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _plain(value: Any) -> Any:
    item = getattr(value, "item", None)  # numpy's own numbers
    if callable(item):
        return item()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
