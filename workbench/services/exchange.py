"""Prompts in and out: import of other tools' files, export to files that other tools and git understand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.core.exchange.documents import decode, load_json, load_yaml
from workbench.core.exchange.folder import read_family
from workbench.core.exchange.langfuse import read_langfuse
from workbench.core.exchange.llm import read_llm_rows, read_llm_template
from workbench.core.exchange.mlflow import read_mlflow, read_mlflow_rows
from workbench.core.exchange.promptfoo import read_promptfoo
from workbench.core.exchange.records import Found, by_place
from workbench.core.exchange.report import ExportReport, ImportReport
from workbench.core.exchange.sniff import FORMATS, SQLITE, check_format, sniff_database, sniff_text
from workbench.core.exchange.tables import read_csv, read_jsonl
from workbench.core.refs import check_title
from workbench.db import foreign
from workbench.errors import DataError, InputError, RunInterruptedError
from workbench.services.exchange_export import EXPORTS, write
from workbench.services.exchange_files import Folder, families_below, read_bytes
from workbench.services.exchange_import import Intake

if TYPE_CHECKING:
    from workbench.services.workbench import Workbench

__all__ = ["Exchange", "Told"]

#: Told (done, all) as a long import or export goes on.
Told = Callable[[int, int], None]

_HEAD = 100


class Exchange:
    """Import and export of the project in use: ``wb.exchange``."""

    def __init__(self, workbench: Workbench) -> None:
        self._wb = workbench

    def import_file(
        self,
        path: str | Path,
        *,
        format: str | None = None,  # noqa: A002 - the option's name
        project: str | None = None,
        progress: Told | None = None,
    ) -> ImportReport:
        """Store the prompts of a file or folder; what is there already is not stored again.

        A record that cannot be stored is in ``failures`` with its place and reason, and the rest goes in.

        Args:
            path: a promptfoo configuration, an export of Langfuse or MLflow, ``llm``'s logs.db or a template of it,
                CSV, JSON lines, or a folder that ``export`` wrote.
            format: ``csv``, ``folder``, ``jsonl``, ``langfuse``, ``llm``, ``mlflow`` or ``promptfoo``; by default it
                is found by the content.
            project: use this one from now on, and make it where there is none, once the file could be read; by
                default the one in use.
            progress: told (done, all), in versions.

        Raises:
            DataError: the file cannot be read at all, or its format is not known.
            RunInterruptedError: stopped by the person; what was told as done is stored.
            OptionError: there is no such format.

        Example:
            >>> report = wb.exchange.import_file("promptfooconfig.yaml")  # doctest: +SKIP
            >>> report.new, report.failed  # doctest: +SKIP
            (3, 0)

        """
        place = _path(path)
        try:
            kind, found = _read(place, check_format(format) if format else None)
        except OSError as error:
            raise DataError(
                f"{str(path)!r:.200} cannot be read: {error.strerror}", cure="see who may read it"
            ) from error
        except DataError as error:
            if place.name in error.message:
                raise
            raise DataError(f"{str(path)!r:.200}: {error.message}", cure=error.cure) from error
        if project is not None:
            self._wb.use(project)
        intake = Intake(self._wb, found, progress)
        try:
            intake.store()
        except KeyboardInterrupt:
            raise RunInterruptedError(
                f"stopped: {intake.new:,} new versions are stored",
                cure="the same import goes on: what is there is not stored again",
            ) from None
        datasets = self._datasets(found)
        return ImportReport(
            source=str(path),
            format=kind,
            project=self._wb.project,
            new=intake.new,
            same=intake.same,
            labels=intake.moved,
            failures=by_place(found.failures),
            notes=by_place(found.notes),
            versions=tuple(intake.versions),
            datasets=datasets,
            scorers=tuple(found.scorers),
        )

    def export(
        self,
        path: str | Path,
        *,
        format: str | None = None,  # noqa: A002 - the option's name
        prompts: Sequence[str] | None = None,
        progress: Told | None = None,
    ) -> ExportReport:
        """Write prompts to a file or folder.

        Args:
            path: where; a file is replaced as a whole, a folder gets and loses the files that differ.
            format: ``jsonl`` (every version in full), ``folder`` (files that git can compare), ``promptfoo`` (a
                configuration with one version of each prompt); by default by the ending of the path.
            prompts: titles for all their versions (in ``promptfoo`` the latest), references for one; by default every
                prompt that is not archived.
            progress: told (done, all), in prompts.

        Raises:
            UnknownReferenceError: there is no such prompt or version.
            DataError: nothing to write, or the place cannot be written.

        Example:
            >>> wb.exchange.export("prompts/", format="folder").versions  # doctest: +SKIP
            12

        """
        place = _path(path)
        kind = check_format(format, EXPORTS) if format else _by_ending(place)
        return write(self._wb, place, kind, prompts, progress, shown=str(path))

    def _datasets(self, found: Found) -> tuple[str, ...]:
        refs = []
        for data in found.data:
            with found.trying("tests", data.name):
                name = check_title(data.name.replace("@", "-at-"))
                refs.append(self._wb.datasets.save(name, data.rows, expected=data.expected).ref)
        return tuple(refs)


def _path(given: str | Path) -> Path:
    if not isinstance(given, str | Path):
        raise DataError(f"{given!r:.100} is no path", cure="name a file or a folder: 'prompts.jsonl'")
    return Path(given).expanduser()


def _by_ending(path: Path) -> str:
    if path.suffix.lower() in {".yaml", ".yml"}:
        return "promptfoo"
    return "folder" if path.is_dir() or not path.suffix else "jsonl"


def _read(path: Path, kind: str | None) -> tuple[str, Found]:
    """Return the format of a file or folder, and what it holds."""
    if path.is_dir():
        if kind not in {None, "folder"}:
            raise DataError(f"{path} is a folder", cure=f"name the file of the {kind} export in it")
        return "folder", _read_folder(path)
    if kind == "folder":
        raise DataError(f"{path} is no folder", cure="name the folder that was exported")
    if _is_sqlite(path):
        return _read_sqlite(path, kind)
    text = decode(read_bytes(path, what=str(path)), what=path.name)
    kind = kind or sniff_text(text)
    return kind, _read_text(kind, text, path)


def _read_text(kind: str, text: str, path: Path) -> Found:
    readers = {"csv": read_csv, "jsonl": read_jsonl, "langfuse": read_langfuse, "mlflow": read_mlflow}
    if kind in readers:
        return readers[kind](text)
    if kind == "llm":
        return read_llm_template(text, title=path.stem)
    return read_promptfoo(_document(text), Folder(path.parent), name=path.stem)


def _document(text: str) -> object:
    """Return a JSON or YAML document; JSON is read quickly and of any size."""
    if text.lstrip().startswith("{"):
        with suppress(InputError):
            return load_json(text, what="the configuration")
    return load_yaml(text, what="the configuration")


def _read_folder(path: Path) -> Found:
    found = Found()
    for folder, index, texts in families_below(path, found):
        read_family(folder, index, texts, found)
    if not found.records and not found.failures:
        raise DataError(
            f"{path} holds no exported prompts",
            cure=f"there is no prompt.json in it; import a file, one of {', '.join(FORMATS)}",
        )
    return found


def _read_sqlite(path: Path, kind: str | None) -> tuple[str, Found]:
    seen = sniff_database(foreign.tables(path))
    if kind not in {None, seen}:
        raise DataError(
            f"{path} is SQLite of {seen}, not {kind}", cure=f"leave --format out, or write --format {seen}"
        )
    if seen == "llm":
        return seen, read_llm_rows(foreign.llm_rows(path))
    return seen, read_mlflow_rows(foreign.mlflow_rows(path))


def _is_sqlite(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(_HEAD).startswith(SQLITE)
