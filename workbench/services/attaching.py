"""From what a person attaches to what is sent: a path, bytes, an address, or several of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.core.attachments import MAX_ATTACHMENT, Attachment, attach_bytes, attach_url
from workbench.errors import DataError, FileError, InputError, did_you_mean

__all__ = ["attachments_of", "check_files", "read_attachments"]

#: As many may go with one message.
_MAX_COUNT = 50


def read_attachments(given: Any) -> tuple[Attachment, ...]:
    """Return what is attached to a message; files are read now.

    Args:
        given: a path, bytes, an ``https://`` address, a data URL, or a list of them.

    Raises:
        FileError: a file is missing, larger than 20 MB, or no PNG, JPEG, GIF, WebP or PDF.
        InputError: something of another type, or more than 50 of them.

    """
    if isinstance(given, str | Path | bytes | bytearray | memoryview | Attachment):
        return (_read(given),)
    if not isinstance(given, Iterable) or isinstance(given, Mapping):
        raise InputError(
            f"a {type(given).__name__} cannot be attached",
            cure="attach a path, bytes, an https address, or a list of them",
        )
    items = list(given)
    if len(items) > _MAX_COUNT:
        raise InputError(
            f"{len(items):,} attachments are too many for one message", cure=f"attach at most {_MAX_COUNT}"
        )
    return tuple(_read(item) for item in items)


def attachments_of(name: Any, values: Mapping[str, Any]) -> tuple[Attachment, ...]:
    """Return what a row attaches: the file, or files, that one of its columns names.

    Raises:
        DataError: there is no such column, or its cell is empty.
        FileError: as :func:`read_attachments`.
        InputError: what is given is no column's name.

    """
    return read_attachments(_cell(name, values))


def check_files(name: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Find what could not be attached, before the first row is paid for; content is looked at when it is sent.

    Raises:
        DataError: there is no such column, or a cell is empty.
        FileError: a file is missing, or larger than 20 MB.

    """
    for place, row in enumerate(rows if name is not None else ()):
        try:
            cell = _cell(name, row)
            for item in [cell] if isinstance(cell, str) else cell:
                if isinstance(item, str) and not _is_address(item):
                    _checked(item)
        except (DataError, FileError) as error:
            error.message = f"row {place} (the first is 0): {error.message}"
            raise


def _cell(name: Any, row: Mapping[str, Any]) -> Any:
    if not isinstance(name, str):
        raise InputError(
            "attach names the column of the data that holds a path or an address", cure="attach='photo'"
        )
    if name not in row:
        raise DataError(
            f"there is no column {name!r} to attach files from; {did_you_mean(name, row)}".rstrip("; "),
            cure=f"columns: {', '.join(sorted(row))}",
        )
    if not isinstance(row[name], str | list) or not row[name]:
        raise DataError(f"there is no path and no address in column {name!r}", cure="drop such rows")
    return row[name]


def _read(item: Any) -> Attachment:
    if isinstance(item, Attachment):
        return item
    if isinstance(item, bytes | bytearray | memoryview):
        return attach_bytes(bytes(item))
    if isinstance(item, str) and _is_address(item):
        return attach_url(item)
    if not isinstance(item, str | Path):
        raise InputError(
            f"a {type(item).__name__} cannot be attached", cure="attach a path, bytes, or an https address"
        )
    path = _checked(item)
    try:
        return attach_bytes(path.read_bytes(), name=path.name)
    except OSError as error:
        raise _unreadable(item, error) from error


def _is_address(item: str) -> bool:
    return item[:8].lower().startswith(("https://", "http://", "data:"))


def _checked(item: str | Path) -> Path:
    """Return the path of a file that is there and small enough."""
    path = Path(item).expanduser()
    try:
        if not path.is_file():
            raise FileError(
                f"the file {str(path)!r:.200} {'is a folder' if path.is_dir() else 'is not there'}",
                cure="give the path of a picture or PDF that this kernel can read",
            )
        size = path.stat().st_size
    except (OSError, ValueError) as error:  # a ValueError: the path holds a NUL
        raise _unreadable(item, error) from error
    if size > MAX_ATTACHMENT:
        raise FileError(
            f"the file {str(path)!r:.200} has {size / 1e6:.1f} MB; at most {MAX_ATTACHMENT // 10**6} MB may be attached",
            cure="make it smaller: most models scale pictures down to about 1,500 pixels anyway",
        )
    return path


def _unreadable(item: str | Path, error: Exception) -> FileError:
    return FileError(
        f"the file {str(item)!r:.200} cannot be read: {error}", cure="check its name and its rights"
    )
