"""Which tool wrote a file: found by its content, never by its name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from workbench.core.exchange.documents import load_json, load_yaml
from workbench.core.exchange.langfuse import is_langfuse
from workbench.core.exchange.llm import is_llm_template
from workbench.core.exchange.mlflow import is_mlflow
from workbench.core.exchange.promptfoo import is_promptfoo
from workbench.core.exchange.tables import check_heading, csv_columns, is_record
from workbench.errors import DataError, OptionError, did_you_mean

__all__ = ["FORMATS", "SQLITE", "check_format", "sniff_database", "sniff_text"]

#: What can be imported.
FORMATS: Final = ("csv", "folder", "jsonl", "langfuse", "llm", "mlflow", "promptfoo")
#: How every SQLite file begins.
SQLITE: Final = b"SQLite format 3\x00"

_CURE: Final = f"name its format with --format: {', '.join(FORMATS)}"


def check_format(name: str, known: Iterable[str] = FORMATS) -> str:
    """Return the name of a format.

    Raises:
        OptionError: there is none of that name.

    """
    names = list(known)
    if name not in names:
        raise OptionError(
            f"there is no format {name!r:.60}",
            cure=did_you_mean(name, names) or f"there are {', '.join(names)}",
        )
    return name


def sniff_text(text: str) -> str:
    """Return the format of a text.

    Raises:
        DataError: it is none that is known.

    >>> sniff_text('{"title": "tone", "content": "Tone of: {{ text }}"}')
    'jsonl'
    """
    if not text.strip():
        raise DataError("the file is empty", cure="see whether it was written to its end")
    if text.lstrip()[0] in "[{":
        kind = _of_json(text)
        if kind:
            return kind
    if csv_columns(text.lstrip())[1]:
        return "csv"
    check_heading(text)
    try:
        document = load_yaml(text, what="the file")
    except DataError as error:
        raise DataError(
            f"the format of the file is not known; as YAML: {error.message}", cure=_CURE
        ) from error
    kind = _of_document(document)
    if not kind:
        raise DataError("the format of the file is not known", cure=_CURE)
    return kind


def sniff_database(tables: Iterable[str]) -> str:
    """Return the format of a SQLite file from the names of its tables.

    Raises:
        DataError: it is none that is known.

    """
    names = set(tables)
    if {"model_versions", "model_version_tags"} <= names:
        return "mlflow"
    if "turns" in names or "responses" in names:
        return "llm"
    raise DataError(
        "this SQLite file holds no prompts that are known", cure="llm's logs.db and MLflow's store are read"
    )


def _of_json(text: str) -> str:
    try:
        document = load_json(text, what="the file")
    except DataError:
        try:
            document = load_json(text.lstrip().split("\n", 1)[0], what="the line")
        except DataError as error:
            if text.lstrip()[0] == "{" and '"' in text:
                raise DataError(f"the file looks like JSON: {error.message}", cure=_CURE) from error
            return ""
    return _of_document(document)


def _of_document(document: Any) -> str:
    if is_promptfoo(document):
        return "promptfoo"
    if isinstance(document, dict):
        listed = next(
            (document[name] for name in ("data", "prompts") if isinstance(document.get(name), list)), None
        )
        listed = [document] if listed is None else listed
    else:
        listed = document if isinstance(document, list) else []
    for item in listed[:20]:
        for kind, fits in (("langfuse", is_langfuse), ("mlflow", is_mlflow), ("jsonl", is_record)):
            if fits(item):
                return kind
    return "llm" if is_llm_template(document) else ""
