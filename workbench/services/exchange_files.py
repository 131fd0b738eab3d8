"""Files of an import or export: read within bounds and below one folder, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from workbench.core.exchange.documents import MAX_BYTES, decode
from workbench.core.exchange.folder import INDEX, folder_of, is_index, is_version_file
from workbench.core.exchange.records import Found
from workbench.errors import DataError

__all__ = ["Folder", "families_below", "read_bytes", "write_families", "write_text"]

_MAX_FILES: Final = 500_000
_MAX_MATCHES: Final = 10_000
_MAX_FOLDER: Final = 500_000_000
_GLOB: Final = frozenset("*?[")


class Folder:
    """The files below one folder; no path, pattern or link leads out of it.

    Args:
        base: the folder.

    """

    def __init__(self, base: Path) -> None:
        self._base = base.resolve()
        self._read = 0

    def names(self, pattern: str) -> list[str]:
        """Return the files that a path or pattern names, sorted, as paths below the folder.

        Raises:
            DataError: it leads out of the folder, or names too many files.

        """
        plain = PurePosixPath(pattern.strip())
        if plain.is_absolute() or "\x00" in pattern or not plain.parts:
            raise DataError(
                f"{pattern!r:.200} is no path below {self._base.name}", cure="write it from there"
            )
        if not _GLOB & set(pattern):
            path = self._inside(str(plain))
            return [path.relative_to(self._base).as_posix()] if path.is_file() else []
        if ".." in plain.parts:
            raise DataError(f"{pattern!r:.200} leads out of {self._base.name}", cure="put the files below it")
        found: list[str] = []
        try:
            for path in self._base.glob(str(plain)):
                if path.resolve().is_relative_to(self._base) and path.is_file():
                    found.append(path.relative_to(self._base).as_posix())
                if len(found) > _MAX_MATCHES:
                    raise DataError(f"{pattern!r:.200} names more than {_MAX_MATCHES:,} files")
        except (ValueError, OSError) as error:
            raise DataError(f"{pattern!r:.200} is no pattern of files: {error}") from error
        return sorted(found)

    def text(self, name: str) -> str:
        """Return a file's text.

        Raises:
            DataError: it is not below the folder, too large with all that was read before, or no UTF-8.

        """
        data = read_bytes(self._inside(name), what=name)
        self._read += len(data)
        if self._read > MAX_BYTES:
            raise DataError(f"the files that it names have more than {MAX_BYTES:,} bytes", cure="split it")
        return decode(data, what=name)

    def _inside(self, name: str) -> Path:
        try:
            path = (self._base / name).resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise DataError(f"{name!r:.200} is no path: {error}") from error
        if not path.is_relative_to(self._base):
            raise DataError(
                f"{name!r:.200} leads out of {self._base.name}",
                cure="put the file below the folder that is imported",
            )
        return path


def read_bytes(path: Path, *, what: str) -> bytes:
    """Return a regular file's bytes.

    Raises:
        DataError: it is no regular file, is too large, or cannot be read.

    """
    try:
        if not path.is_file():
            raise DataError(f"{what} is no file" if path.exists() else f"there is no file {what}")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DataError(f"{what} cannot be read: {error.strerror}", cure="see who may read it") from error
    if len(data) > MAX_BYTES:
        raise DataError(f"{what} has more than {MAX_BYTES:,} bytes, the most that is read", cure="split it")
    return data


def families_below(base: Path, found: Found) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Give (folder, its index, name → text of its versions) for each prompt below a folder, by path.

    Links are not followed, and folders whose name begins with a dot are left alone. A file that cannot be read is
    a failure.

    Raises:
        DataError: there is too much.

    """
    count = size = 0
    for place, folders, files in os.walk(base, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        count += len(files)
        if count > _MAX_FILES:
            raise DataError(f"there are more than {_MAX_FILES:,} files below {base.name}")
        if INDEX not in files:
            continue
        folder = Path(place).relative_to(base)
        texts = {}
        for name in [INDEX, *filter(is_version_file, files)]:
            with found.trying((folder / name).as_posix()):
                texts[name] = _own_text(base / folder / name)
                size += len(texts[name])
        if size > _MAX_FOLDER:
            raise DataError(f"the files below {base.name} have more than {_MAX_FOLDER:,} characters")
        if INDEX in texts:
            yield folder.as_posix(), texts.pop(INDEX), texts


def write_families(base: Path, families: Mapping[str, Mapping[str, str]], *, whole: bool) -> tuple[int, int]:
    """Write the folders of prompts; files that are right already are left alone.

    Args:
        base: the folder; made where it is missing.
        families: title → name → text.
        whole: whether these are all prompts, so that folders of others are removed.

    Returns:
        How many files were written, and how many removed.

    Raises:
        DataError: a folder's place is taken by a link that leads elsewhere.

    """
    try:
        base.mkdir(parents=True, exist_ok=True)
        return _write_families(base, families, whole=whole)
    except OSError as error:
        raise DataError(
            f"{base} cannot be written: {error.strerror}", cure="name another folder, or see who owns it"
        ) from error


def _write_families(base: Path, families: Mapping[str, Mapping[str, str]], *, whole: bool) -> tuple[int, int]:
    inside = Folder(base)
    written, kept = 0, set()
    for title, files in families.items():
        name = folder_of(title)
        inside.names(name)  # refuses a link out of the folder
        folder = base / name
        folder.mkdir(parents=True, exist_ok=True)
        kept.add(folder)
        for file, text in files.items():
            written += write_text(folder / file, text)
    return written, _remove_others(
        base, {title: set(files) for title, files in families.items()}, kept, whole=whole
    )


def write_text(path: Path, text: str) -> bool:
    """Write a file as a whole, by renaming; return whether it had to be.

    Raises:
        DataError: it cannot be written.

    """
    data = text.encode()
    try:
        if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
            return False
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            part.write_bytes(data)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror}", cure="see who owns the folder"
        ) from error
    return True


def _is_ours(index: Path) -> bool:
    try:
        return is_index(_own_text(index))
    except DataError:
        return False


def _own_text(path: Path) -> str:
    if path.is_symlink():
        raise DataError("this is a link; links are not followed", cure="put the file there")
    return decode(read_bytes(path, what=path.name), what=path.name)


def _remove_others(base: Path, files: Mapping[str, Iterable[str]], kept: set[Path], *, whole: bool) -> int:
    """Remove versions that are no longer there, and, for a whole export, prompts; only files of our own making."""
    removed = 0
    for title, names in files.items():
        folder = base / folder_of(title)
        for path in folder.iterdir():
            if is_version_file(path.name) and path.name not in names:
                path.unlink()
                removed += 1
    if not whole:
        return removed
    for place, folders, names in os.walk(base, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        folder = Path(place)
        if INDEX not in names or folder in kept or not _is_ours(folder / INDEX):
            continue
        for name in [INDEX, *filter(is_version_file, names)]:
            (folder / name).unlink()
            removed += 1
        while folder != base and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent
    return removed
