"""promptfoo's test cases as rows of a dataset, and its assertions as scorers."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from workbench.core.exchange.documents import load_json, load_yaml
from workbench.core.exchange.records import DataRecord, Found, mapping
from workbench.core.scoring import parse_scorer
from workbench.core.values import plain
from workbench.errors import DataError, InputError

if TYPE_CHECKING:
    from workbench.core.exchange.promptfoo import Files

__all__ = ["csv_rows", "read_tests"]

_FILE: Final = "file://"
_SAME: Final = frozenset({"equals", "contains", "icontains", "starts-with", "regex"})
_ANY: Final = {"contains-any": "", "icontains-any": "(?i)"}
_ALL: Final = {"contains-all": "contains", "icontains-all": "icontains"}
_KNOWN: Final = (*_SAME, *_ANY, *_ALL)
_WORDED: Final = re.compile(
    r"(?P<type>not-[a-z-]+|[a-z]+(?:-[a-z]+)*)(?:\([\d.]+\))?:(?P<value>.*)", re.DOTALL
)
_JUDGED: Final = frozenset(
    {"llm-rubric", "grade", "javascript", "fn", "eval", "python", "similar", "factuality", "model-graded-closedqa",
     "answer-relevance", "is-json", "contains-json", "cost", "latency", "levenshtein", "rouge-n", "bleu", "g-eval"}
)  # fmt: skip
_VARIABLE: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")
#: What a scorer's text or promptfoo itself would read as a column.
_NO_TEXT: Final = re.compile(r"\{\{\s*\w+\s*\}\}|(?:^|:)@")
_EXPECTED: Final = "expected"
_MAX_ROWS: Final = 100_000


def read_tests(config: Mapping[str, Any], files: Files, found: Found, *, name: str) -> None:
    """Add the test cases as one dataset, and the assertions as scorers.

    An assertion that all cases share becomes a scorer with its text; one whose value differs from case to case
    becomes a column, and a scorer that compares with it.
    """
    shared: dict[str, Any] = {}
    with found.trying("defaultTest"):
        shared = (
            mapping(config.get("defaultTest"), "defaultTest")
            if not isinstance(config.get("defaultTest"), str)
            else {}
        )
        for scorer in itertools.chain.from_iterable(
            _scorers(each, found, "defaultTest") for each in _asserts(shared)
        ):
            found.scorers.append(scorer)
    defaults = shared.get("vars") if isinstance(shared.get("vars"), dict) else {}
    if config.get("scenarios"):
        found.note("scenarios", "scenarios are not read; write their cases as tests")
    cases: list[tuple[str, Mapping[str, Any]]] = []
    for place, case in _cases(config.get("tests"), files, found):
        with found.trying(place):
            cases += [(place, row) for row in _expand(case, defaults or {}, files)]
            if len(cases) > _MAX_ROWS:
                raise DataError(f"there are more than {_MAX_ROWS:,} cases")
    _add_data(cases, found, name)
    found.scorers[:] = dict.fromkeys(found.scorers)


def csv_rows(text: str, what: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file with a heading.

    Raises:
        DataError: it does not parse.

    """
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        return [
            {str(name).strip(): value or "" for name, value in row.items() if name is not None}
            for row in reader
        ]
    except csv.Error as error:
        raise DataError(f"{what}, line {reader.line_num}: {error}") from error


def _cases(tests: Any, files: Files, found: Found) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give each test with its place; a text among them names a file of more."""
    listed = tests if isinstance(tests, list) else [] if tests is None else [tests]
    for number, test in enumerate(listed, 1):
        place = f"test {number}"
        with found.trying(place):
            if isinstance(test, str):
                yield from _from_files(test, files)
            elif isinstance(test, Mapping) and isinstance(test.get("path"), str):
                yield from _from_files(test["path"], files)
            else:
                yield place, mapping(test, place)


def _from_files(reference: str, files: Files) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if reference.startswith(("http://", "https://", "huggingface://", "az://", "s3://")):
        raise DataError(f"{reference!r:.100} is not on this machine", cure="download it, and name the file")
    names = files.names(reference.removeprefix(_FILE))
    if not names:
        raise DataError(f"there is no file {reference.removeprefix(_FILE)!r:.200} beside the configuration")
    for name in names:
        for number, row in enumerate(_file_rows(name, files.text(name)), 1):
            yield f"{name}, case {number}", mapping(row, f"{name}, case {number}")


def _file_rows(name: str, text: str) -> Sequence[Any]:
    ending = name.rpartition(".")[2].lower()
    if ending == "csv":
        return [_from_csv(row) for row in csv_rows(text, name)]
    if ending == "jsonl":
        return [load_json(line, what=name) for line in text.split("\n") if line.strip()]
    if ending in {"json", "yaml", "yml"}:
        rows = load_json(text, what=name) if ending == "json" else load_yaml(text, what=name)
        return rows if isinstance(rows, list) else [rows]
    raise DataError(f"{name} is no file of test cases", cure="they stand in CSV, JSON, JSONL or YAML")


def _from_csv(row: Mapping[str, str]) -> dict[str, Any]:
    expected = [
        value.strip() for name, value in row.items() if name.startswith("__expected") and value.strip()
    ]
    return {
        "vars": {name: value for name, value in row.items() if not name.startswith("__")},
        "assert": [_worded(text) for text in expected],
    }


def _worded(text: str) -> dict[str, Any]:
    """Return the assertion that a CSV cell words, as promptfoo reads it: ``contains:sorry``, or the right answer."""
    match = _WORDED.fullmatch(text)
    name = match["type"] if match else ""
    if match is None or name.removeprefix("not-") not in {*_KNOWN, *_JUDGED}:
        return {"type": "equals", "value": text}
    value: Any = match["value"].strip()
    if name in _ANY or name in _ALL:
        value = [part.strip() for part in value.split(",")]
    return {"type": name, "value": value}


def _expand(case: Mapping[str, Any], defaults: Mapping[str, Any], files: Files) -> Iterator[dict[str, Any]]:
    """Give a test's rows: a list among the variables makes one row for each of its items."""
    given = case.get("vars")
    values = {**defaults, **(mapping(given, "vars") if not isinstance(given, str) else {})}
    if isinstance(given, str):
        raise DataError("vars that stand in a file are not read", cure="write them out")
    names = list(values)
    choices = [value if isinstance(value, list) else [value] for value in values.values()]
    size = 1
    for choice in choices:
        size *= max(len(choice), 1)
    if size > _MAX_ROWS:
        raise DataError(f"its lists make {size:,} cases")
    for row in itertools.product(*choices):
        read = {name: _value(value, files) for name, value in zip(names, row, strict=True)}
        yield {"vars": read, "assert": _asserts(case)}


def _value(value: Any, files: Files) -> Any:
    if not isinstance(value, str) or not value.startswith(_FILE):
        return value
    name = value.removeprefix(_FILE)
    if name not in files.names(name):
        raise DataError(f"there is no file {name!r:.200} beside the configuration")
    return files.text(name).strip()


def _asserts(case: Mapping[str, Any]) -> list[dict[str, Any]]:
    listed = case.get("assert") or []
    if not isinstance(listed, list):
        raise DataError("assert is no list")
    flat: list[dict[str, Any]] = []
    for each in listed:
        fields = mapping(each, "an assertion")
        flat += _asserts({"assert": fields.get("assert")}) if fields.get("type") == "assert-set" else [fields]
    return flat


def _scorers(assertion: Mapping[str, Any], found: Found, place: str) -> list[str]:
    """Return an assertion as scorers, or none and a note."""
    kind, value = str(assertion.get("type", "")), assertion.get("value")
    column = _VARIABLE.fullmatch(value.strip()) if isinstance(value, str) else None
    wanted: list[str] = []
    if kind in _SAME and column:
        wanted = [f"{kind}:@{column[1]}"]
    elif kind in _SAME and _is_word(value) and not _NO_TEXT.search(str(value)):
        wanted = [f"{kind}:{value}"]
    elif kind in _ANY and _is_texts(value):
        wanted = [f"regex:{_ANY[kind]}{'|'.join(map(re.escape, value))}"]
    elif kind in _ALL and _is_texts(value):
        wanted = [f"{_ALL[kind]}:{each}" for each in value]
    if not wanted or not all(map(_reads_back, wanted)):
        found.note(place, f"the assertion {kind or '?'} has no scorer here; write it in Python")
        return []
    return wanted


def _reads_back(scorer: str) -> bool:
    """Whether a scorer's text means what was put into it: a value may look like a column, or be empty."""
    try:
        spec = parse_scorer(scorer)
    except InputError:
        return False
    kind, _, value = scorer.partition(":")
    whole = spec.argument == value if spec.column is None else value == f"@{spec.column}"
    return (
        spec.name == kind
        and whole
        and scorer == scorer.strip()
        and _compiles(spec.argument if kind == "regex" else None)
    )


def _compiles(pattern: str | None) -> bool:
    try:
        re.compile(pattern or "")
    except re.error:
        return False
    return True


def _is_texts(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) and each for each in value)


def _add_data(cases: Sequence[tuple[str, Mapping[str, Any]]], found: Found, name: str) -> None:
    """Turn cases into rows, and their assertions into scorers."""
    asserts = [case["assert"] for _, case in cases]
    cells: Sequence[Mapping[str, Any]] = [{}] * len(cases)
    if all(each == asserts[0] for each in asserts):
        for each in asserts[0] if asserts else []:
            found.scorers += _scorers(each, found, "tests")
    else:
        cells = _cells(asserts, {column for _, case in cases for column in case["vars"]}, found)
    rows = []
    for (place, case), more in zip(cases, cells, strict=True):
        with found.trying(place):
            if case["vars"] or more:
                rows.append(plain({**case["vars"], **more}, what="the case"))
    if rows:
        right = _EXPECTED if any(_EXPECTED in more for more in cells) else None
        found.data.append(DataRecord(name=name, rows=rows, expected=right))


def _cells(
    asserts: Sequence[Sequence[Mapping[str, Any]]], taken: set[str], found: Found
) -> list[dict[str, Any]]:
    """Return, for each case, what its assertions compare with: a column for each type that has a plain value."""
    plain_values = [[_plain_value(each) for each in listed] for listed in asserts]
    kinds = list(dict.fromkeys(kind for values in plain_values for kind, _ in values if kind))
    first = "equals" if "equals" in kinds else kinds[0] if len(kinds) == 1 else ""
    columns = {
        kind: _EXPECTED if kind == first and _EXPECTED not in taken else _free(kind, taken) for kind in kinds
    }
    found.scorers += [
        kind if column == _EXPECTED else f"{kind}:@{column}" for kind, column in columns.items()
    ]
    everywhere = [each for each in asserts[0] if all(each in listed for listed in asserts)]
    others = {
        str(each.get("type")): each for listed in asserts for each in listed if not _plain_value(each)[0]
    }
    for kind, each in others.items():  # a type is told once, not once a case
        if each in everywhere:
            found.scorers += _scorers(each, found, "tests")
        else:
            found.note("tests", f"the assertion {kind} of some cases has no scorer here")
    cells: list[dict[str, Any]] = []
    for values in plain_values:
        row: dict[str, Any] = {}
        for kind, value in values:
            if kind:
                row.setdefault(columns[kind], value)
        cells.append(row)
    return cells


def _plain_value(assertion: Mapping[str, Any]) -> tuple[str, Any]:
    """Return (type, value) of an assertion whose value can be a cell, else an empty type."""
    kind, value = assertion.get("type"), assertion.get("value")
    fits = kind in _SAME and _is_word(value) and not _VARIABLE.search(str(value))
    return (str(kind), value) if fits else ("", None)


def _is_word(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _free(kind: str, taken: set[str]) -> str:
    column = f"expect_{kind.replace('-', '_')}"
    while column in taken:
        column += "_"
    return column
