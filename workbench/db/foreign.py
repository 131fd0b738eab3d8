"""Other tools' SQLite files, opened so that nothing in them can change or act: rows out, and nothing else."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from workbench.errors import DataError

__all__ = ["MAX_SQLITE", "llm_rows", "mlflow_rows", "tables"]

#: The largest SQLite file that is read, in bytes; a log holds answers too, so it is larger than any text.
MAX_SQLITE: Final = 2_000_000_000
_MAX_CELL: Final = 10_000_000
_MAX_ROWS: Final = 200_000
_SECONDS: Final = 120
_STEPS: Final = 100_000

_RESPONSES: Final = """
SELECT rowid AS place, id, prompt, system, model, datetime_utc FROM responses
WHERE typeof(id) = 'text' ORDER BY datetime_utc, rowid LIMIT ?
"""
_FRAGMENTS: Final = """
SELECT p.response_id, f.content FROM {} p JOIN fragments f ON f.id = p.fragment_id ORDER BY p.response_id, p."order"
"""
_TURNS: Final = """
SELECT t.rowid AS place, t.parent_message_hash AS message, t.model, t.datetime_utc FROM turns t
ORDER BY t.datetime_utc, t.rowid LIMIT ?
"""
_PARTS: Final = (
    "SELECT message_hash, text, payload FROM parts WHERE type = 'text' ORDER BY message_hash, position"
)
_VERSIONS: Final = """
SELECT v.name, v.version, v.description, v.creation_time FROM model_versions v
JOIN registered_model_tags p ON p.name = v.name AND p.key = 'mlflow.prompt.is_prompt' AND p.value = 'true'
GROUP BY v.name, v.version ORDER BY v.name, v.version LIMIT ?
"""


def tables(path: Path) -> list[str]:
    """Return the names of the tables of a SQLite file.

    Raises:
        DataError: it is none, or is damaged.

    """
    with _opened(path) as connection:
        return [
            row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]


def llm_rows(path: Path) -> list[dict[str, Any]]:
    """Return what was sent by the command-line tool ``llm``: place, prompt, system, model, datetime_utc; oldest first.

    Since 0.32 it keeps turns whose messages are shared; before, one row a response. Both may be in one file.

    Raises:
        DataError: the file is damaged, or is not what it seems.

    """
    with _opened(path) as connection:
        names = set(tables(path))
        rows = list(_responses(connection, names)) if "responses" in names else []
        if {"turns", "messages", "parts"} <= names:
            rows += _turns(connection, names)
        return rows


def mlflow_rows(path: Path) -> list[dict[str, Any]]:
    """Return the prompt versions of MLflow's store: name, version, description, creation_time, tags, aliases.

    Raises:
        DataError: the file is damaged, or is not what it seems.

    """
    with _opened(path) as connection:
        tags: dict[tuple[str, int], dict[str, str]] = {}
        for row in connection.execute("SELECT name, version, key, value FROM model_version_tags"):
            tags.setdefault((row["name"], row["version"]), {})[row["key"]] = row["value"]
        aliases: dict[tuple[str, int], list[str]] = {}
        if "registered_model_aliases" in tables(path):
            for row in connection.execute(
                "SELECT name, version, alias FROM registered_model_aliases ORDER BY alias"
            ):
                aliases.setdefault((row["name"], row["version"]), []).append(row["alias"])
        return [
            {
                **dict(row),
                "tags": tags.get((row["name"], row["version"]), {}),
                "aliases": aliases.get((row["name"], row["version"]), []),
            }
            for row in connection.execute(_VERSIONS, [_MAX_ROWS])
        ]


def _responses(connection: sqlite3.Connection, names: set[str]) -> Iterator[dict[str, Any]]:
    before = {
        kind: _fragments(connection, f"{kind}_fragments") if f"{kind}_fragments" in names else {}
        for kind in ("prompt", "system")
    }
    for row in connection.execute(_RESPONSES, [_MAX_ROWS]):
        prompt = [*before["prompt"].get(row["id"], []), row["prompt"]]
        system = [*before["system"].get(row["id"], []), row["system"]]
        yield {
            "place": f"responses row {row['place']}",
            "prompt": "\n".join(filter(None, map(_text, prompt))),
            "system": "\n\n".join(filter(None, map(_text, system))),
            "model": row["model"],
            "datetime_utc": row["datetime_utc"],
        }


def _fragments(connection: sqlite3.Connection, table: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in connection.execute(_FRAGMENTS.format(table)):  # one of two names that are written above
        found.setdefault(row["response_id"], []).append(row["content"])
    return found


def _turns(connection: sqlite3.Connection, names: set[str]) -> Iterator[dict[str, Any]]:
    """Give each turn's own user messages, and the system messages of its thread."""
    messages = {
        row["hash"]: (row["parent_hash"], row["role"])
        for row in connection.execute("SELECT hash, parent_hash, role FROM messages")
    }
    fragments: dict[int, str] = {}
    if "fragments" in names:
        fragments = {
            row["id"]: _text(row["content"])
            for row in connection.execute("SELECT id, content FROM fragments")
        }
    texts: dict[str, list[str]] = {}
    for row in connection.execute(_PARTS):
        texts.setdefault(row["message_hash"], []).append(_part(row["text"], row["payload"], fragments))
    for row in connection.execute(_TURNS, [_MAX_ROWS]):
        chain = _chain(messages, row["message"])
        own: list[str] = []
        for message, role in chain:
            if role == "assistant":
                break
            if role == "user":
                own[:0] = texts.get(message, [])
        system = [
            text for message, role in reversed(chain) if role == "system" for text in texts.get(message, [])
        ]
        yield {
            "place": f"turns row {row['place']}",
            "prompt": "\n".join(own),
            "system": "\n\n".join(system),
            "model": row["model"],
            "datetime_utc": row["datetime_utc"],
        }


def _chain(messages: Mapping[str, tuple[str | None, str]], last: str | None) -> list[tuple[str, str]]:
    """Return (message, role) from the last message to the first; a ring of messages ends where it closes."""
    chain: dict[str, str] = {}
    while last is not None and last in messages and last not in chain:
        parent, role = messages[last]
        chain[last] = role
        last = parent
    return list(chain.items())


def _part(text: Any, payload: Any, fragments: Mapping[int, str]) -> str:
    """Return the text of a part; a part that refers to fragments names them in its payload."""
    if text is not None or not isinstance(payload, str):
        return _text(text)
    try:
        pieces = json.loads(payload).get("text_ref", [])
        return "".join(
            fragments.get(piece["fragment"], "") if "fragment" in piece else _text(piece.get("literal"))
            for piece in pieces
        )
    except (ValueError, AttributeError, TypeError, RecursionError):
        return ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a SQLite file for reading only; what it does wrong becomes one typed error."""
    size = path.stat().st_size
    if size > MAX_SQLITE:
        raise DataError(f"{path.name} has {size:,} bytes; {MAX_SQLITE:,} are the most that is read")
    waiting = path.with_name(f"{path.name}-wal")
    # A file that nobody writes to is not even locked; one with a write-ahead log has to be read with it.
    still = "" if waiting.exists() and waiting.stat().st_size else "&immutable=1"
    try:
        with closing(
            sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro{still}", uri=True)
        ) as connection:
            _bind(connection)
            yield connection
    except sqlite3.Error as error:
        raise DataError(
            f"{path.name} cannot be read as SQLite: {str(error) or type(error).__name__}",
            cure="copy it while the tool is not running, or check it: PRAGMA integrity_check",
        ) from error


def _bind(connection: sqlite3.Connection) -> None:
    """Bound what a hostile file could do: nothing is trusted, cells are short, statements end."""
    connection.row_factory = sqlite3.Row
    connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_CELL)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    for pragma in ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON"):
        connection.execute(f"PRAGMA {pragma}")
    end = time.monotonic() + _SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
