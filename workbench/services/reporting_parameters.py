"""What a report's notebook may be told, and what it is told.

papermill writes a parameter's *name* into a cell as code, does not enforce types and only prints
about unknown names. So names and values are checked here, before a kernel starts: a name must be
declared in the notebook's cell tagged ``parameters``, and a value must be JSON of the declared type.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import keyword
import re
import reprlib
import sys
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.core.keys import find_key
from workbench.errors import ParameterError, UnknownReferenceError, did_you_mean

__all__ = ["Parameter", "check_parameters", "read_parameters"]

_TYPES: Mapping[str, type] = {
    "str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict,
}  # fmt: skip
_WORDS: tuple[tuple[frozenset[str], bool | None], ...] = (
    (frozenset({"true", "yes", "1"}), True),
    (frozenset({"false", "no", "0"}), False),
    (frozenset({"null", "none"}), None),
)

#: What Python's parser raises; the last two for text that is nested very deeply.
_NOT_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)

#: Whole names, or whole last parts of a name: ``max_tokens`` and ``case_key`` are no secrets.
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:api_?key|secret(?:_?key)?|access_?key|private_?key|password|passwd|passphrase|token|dsn|credentials?)$",
    re.IGNORECASE,
)
_URL_WITH_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter that a notebook declares.

    Attributes:
        name: a Python identifier.
        default: its value when nothing is given; JSON.
        type: ``str``, ``int``, ``float``, ``bool``, ``list``, ``dict``, or several joined by `` | ``
            (``None`` among them); ``any`` for an unannotated ``x = None``.
        help: the comment behind it, without the ``#``.

    """

    name: str
    default: Any
    type: str
    help: str = ""


def read_parameters(path: Path) -> dict[str, Parameter]:
    """Return what the notebook's first cell tagged ``parameters`` declares, in its order.

    ``limit: int = 20  # cases to show`` declares one; without an annotation the type is that of the
    default. A notebook without such a cell takes no parameters.

    Raises:
        UnknownReferenceError: there is no such file.
        ParameterError: the file is no notebook, or the cell holds more than literal assignments.

    """
    source = _parameters_cell(path)
    try:
        module = ast.parse(source)
        helps = _comments(source)
    except (*_NOT_PYTHON, tokenize.TokenError) as error:
        raise _unreadable(path, f"does not parse: {error}") from error
    declared = {}
    for statement in module.body:
        parameter = _parameter(path, statement, helps)
        if parameter is not None:
            declared[parameter.name] = parameter
    return declared


def _parameters_cell(path: Path) -> str:
    try:
        notebook = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise UnknownReferenceError(f"there is no notebook at {path}") from error
    except (OSError, ValueError) as error:
        raise ParameterError(f"{path} cannot be read as a notebook: {error}") from error
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise ParameterError(
            f"{path} is not a notebook of format 4", cure="open it in JupyterLab and save it anew"
        )
    for cell in cells:
        if cell.get("cell_type") == "code" and "parameters" in cell.get("metadata", {}).get("tags", ()):
            source = cell.get("source", "")
            return source if isinstance(source, str) else "".join(source)
    return ""


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("#").strip() for token in tokens if token.type == tokenize.COMMENT
    }


def _unreadable(path: Path, what: str) -> ParameterError:
    return ParameterError(
        f"the parameters cell of {path.name} {what}",
        cure="keep to lines such as `limit: int = 20  # cases to show`; move everything else to the next cell",
    )


def _parameter(path: Path, statement: ast.stmt, helps: Mapping[int, str]) -> Parameter | None:
    match statement:
        case ast.Expr(ast.Constant(str())):
            return None
        case ast.AnnAssign(ast.Name(name), annotation, ast.expr() as value):
            kind: str | None = _type_name(annotation)
            if kind is None:
                raise _unreadable(
                    path, f"gives {name!r} the type {ast.unparse(annotation)}; known are {', '.join(_TYPES)}"
                )
        case ast.Assign([ast.Name(name)], value):
            kind = None
        case _:
            raise _unreadable(path, f"holds `{ast.unparse(statement)}`, which declares no parameter")
    try:
        default = _as_json(name, ast.literal_eval(value))
        if kind is None:
            kind = type(default).__name__ if default is not None else "any"
        default = _convert(name, default, kind, from_text=False)
    except (*_NOT_PYTHON, TypeError, ParameterError) as error:
        raise _unreadable(
            path, f"gives {name!r} the default {ast.unparse(value)}, which does not fit"
        ) from error
    return Parameter(name, default, kind, helps.get(statement.end_lineno or 0, ""))


def _type_name(annotation: ast.expr) -> str | None:
    """Return the type's name in our words; None when it is not one of ours."""
    found: str | None = None
    match annotation:
        case ast.Name(name) if name in _TYPES or name == "Any":
            found = name.lower()
        case ast.Constant(None):
            found = "None"
        case ast.Subscript(ast.Name("list" | "dict" as name)):
            found = name
        case ast.Subscript(ast.Name("Optional"), inner):
            found = _joined(_type_name(inner), "None")
        case ast.BinOp(left, ast.BitOr(), right):
            found = _joined(_type_name(left), _type_name(right))
    return found


def _joined(left: str | None, right: str | None) -> str | None:
    return f"{left} | {right}" if left and right else None


def check_parameters(declared: Mapping[str, Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given values, converted to what the notebook declares.

    A text given for another type (as the command line does) is read as that type.

    >>> check_parameters({"n": Parameter("n", 1, "int")}, {"n": "20"})
    {'n': 20}

    Raises:
        ParameterError: an unknown name, a name or value that looks like a secret, a value that is not
            JSON, or one of another type. The message never repeats a value that looks like a secret.

    """
    return {name: _checked(declared, name, value) for name, value in given.items()}


def _checked(declared: Mapping[str, Parameter], name: object, value: object) -> Any:
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise ParameterError(
            f"{name!r} is not a parameter's name", cure="use letters, digits and underscores"
        )
    if _SECRET_NAME.search(name):
        raise _secret(f"the parameter {name!r} looks like a secret")
    if name not in declared:
        known = ", ".join(declared) or "none"
        raise ParameterError(
            f"the report has no parameter {name!r}; it declares: {known}",
            cure=did_you_mean(name, declared) or "declare it in the notebook's cell tagged 'parameters'",
        )
    plain = _as_json(name, value)
    text = json.dumps(plain)
    if find_key(text) or _URL_WITH_PASSWORD.search(text):
        raise _secret(f"the value of {name!r} looks like a secret")
    return _convert(name, plain, declared[name].type, from_text=True)


def _secret(what: str) -> ParameterError:
    return ParameterError(
        f"{what}; parameters are stored in clear in the notebook",
        cure="put it into the environment or .env: the report's kernel finds it there",
    )


def _as_json(name: str, value: object) -> Any:
    """Return the value if a round trip through JSON leaves it as it is."""
    try:
        plain = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ParameterError(
            f"the value of {name!r} cannot be written as JSON: {error}",
            cure="give text, a finite number, true or false, null, or lists and dicts of them; write a date as text",
        ) from error
    if plain != value:
        raise ParameterError(
            f"the value of {name!r} would change when written as JSON",
            cure="use lists instead of tuples, and text as the keys of dicts",
        )
    return plain


def _convert(name: str, value: Any, kind: str, *, from_text: bool) -> Any:
    kinds = kind.split(" | ")
    if kind == "any" or (value is None and "None" in kinds):
        return value
    candidates = [value, *_readings(value)] if from_text and isinstance(value, str) else [value]
    for candidate in candidates:
        for each in kinds:
            if _fits(candidate, each):
                return float(candidate) if each == "float" else candidate
    raise ParameterError(f"{name!r} is {reprlib.repr(value)}, which is not of the declared type {kind}")


def _readings(text: str) -> list[Any]:
    """Return what a text may mean besides itself: JSON, or a word for true, false or null."""
    readings: list[Any] = []
    with contextlib.suppress(ValueError, RecursionError):
        readings.append(json.loads(text, parse_constant=str))
    readings.extend(meaning for words, meaning in _WORDS if text.lower() in words)
    return readings


def _fits(value: object, kind: str) -> bool:
    if value is None or isinstance(value, bool):
        return kind == ("None" if value is None else "bool")
    if kind == "float":
        return isinstance(value, int | float) and abs(value) <= sys.float_info.max
    return kind in _TYPES and isinstance(value, _TYPES[kind])
