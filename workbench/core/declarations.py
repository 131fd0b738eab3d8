"""Declared variables: what a prompt says about the values that it needs, and the check of them before a call.

Variables are found by parsing the template. A declaration adds a type, a default, a description; what nobody
declared stays of type ``any``. A stored record has ``name``, ``type`` and ``required``, and of the other keys
only those that were given, so that a prompt without declarations keeps its content hash.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from workbench.core.templates import missing_error
from workbench.core.values import plain
from workbench.errors import (
    DataError,
    TemplateError,
    UndefinedVariableError,
    VariableTypeError,
    did_you_mean,
)

__all__ = ["TYPES", "declare", "fill", "fills", "read_declarations", "signature"]

#: The types that a variable may be declared as; all but ``any`` are JSON's.
TYPES: Final = ("string", "integer", "number", "boolean", "array", "object", "any")

_ALIASES: Final = {
    "str": "string", "int": "integer", "float": "number", "bool": "boolean", "list": "array", "dict": "object",
}  # fmt: skip
_KEYS: Final = ("name", "type", "description", "default", "required", "enum", "example")
_ARTICLES: Final = {"integer": "an integer", "array": "an array (list)", "object": "an object (dict)"}
_CURES: Final = {
    "string": "pass str(value)",
    "integer": "pass int(value); on a magic's line write -p {name}:=3",
    "number": "pass float(value); on a magic's line write -p {name}:=0.5",
    "boolean": "pass True or False; on a magic's line write -p {name}:=true",
    "array": "pass a list or a DataFrame; on a magic's line write -p {name}:='[1, 2]' or -p {name}=@variable",
    "object": "pass a dict; on a magic's line write -p {name}:='{{\"a\": 1}}' or -p {name}=@variable",
}
_SHOWN: Final = 60

Record = dict[str, Any]


def read_declarations(given: Any) -> dict[str, Record]:
    """Read what a person wrote as ``variables:``.

    Args:
        given: a mapping from name to type (``text: string``) or to the keys of a declaration
            (``text: {type: string, default: …}``), or a list of such with ``name``.

    Returns:
        The given keys by name, types by their JSON names. None and an empty value declare nothing.

    Raises:
        TemplateError: a type or key is unknown, or a default does not fit its own type.

    >>> read_declarations({"text": "str", "n": {"type": "int", "default": 3}})
    {'text': {'type': 'string'}, 'n': {'type': 'integer', 'default': 3}}
    """
    found: dict[str, Record] = {}
    for name, entry in _entries(given):
        if name in found:
            raise TemplateError(f"the variable {name!r} is declared twice", cure="keep one of the two")
        found[name] = _read(name, entry)
    return found


def declare(names: Sequence[str], required: Collection[str], declared: Mapping[str, Record]) -> list[Record]:
    """Return the records of a prompt's variables, as they are stored.

    Args:
        names: the variables that the template reads, in order.
        required: those of them that the template cannot do without.
        declared: what :func:`read_declarations` gave.

    Raises:
        TemplateError: a declared variable is not read, or is declared as optional and is not.

    >>> declare(["text"], ["text"], {})
    [{'name': 'text', 'type': 'any', 'required': True}]
    """
    for name in declared:
        if name not in names:
            reads = f"it reads {', '.join(names)}" if names else "it reads none"
            raise TemplateError(
                f"the variable {name!r} is declared, and the prompt does not read it",
                cure=did_you_mean(name, names) or f"{reads}; write {{{{ {name} }}}} in it, or leave it out",
            )
    return [_record(name, declared.get(name, {}), needed=name in required) for name in names]


def fills(records: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the names of the variables that have a default.

    >>> sorted(fills([{"name": "n", "default": 3}, {"name": "text"}]))
    ['n']
    """
    return frozenset(str(record["name"]) for record in records if "default" in record)


def fill(
    records: Iterable[Mapping[str, Any]], values: Mapping[str, Any], *, where: str = "", give: str = ""
) -> Mapping[str, Any]:
    """Return the values of one call: checked against the declarations, defaults in the place of missing ones.

    A value is missing when it is not there, None or NaN. A whole float is an integer (pandas makes floats of
    whole numbers beside an empty cell), and becomes one where an integer is declared.

    Args:
        records: the stored records of a version.
        values: any names; those that were not declared are passed on as they are.
        where: stands before the message, such as ``"row 3: "``.
        give: how a missing value is given, ``{}`` for its name, such as ``"-p {}=…"``.

    Raises:
        VariableTypeError: a value is not of the declared type, or not among the allowed ones.
        UndefinedVariableError: a variable that is declared as required is missing.
        TemplateError: a value has no JSON form.

    >>> fill([{"name": "n", "type": "integer", "default": 3}], {"text": "x"})
    {'text': 'x', 'n': 3}
    """
    kept = [record for record in records if record.get("required") or _says_more(record)]
    missing = [
        name for record in kept if record.get("required") and (name := str(record["name"])) not in values
    ]
    if missing:
        error = missing_error(missing, values, give=give)
        raise UndefinedVariableError(f"{where}{error.message}", cure=error.cure)
    filled = dict(values)
    for record in kept:
        _fill(record, filled, where)
    return filled


def signature(record: Mapping[str, Any]) -> str:
    """Return how a variable reads in one line.

    >>> signature({"name": "n", "type": "integer", "default": 3, "required": False})
    'n: integer = 3'
    """
    kind = record.get("type", "any")
    default = f" = {record['default']!r:.40}" if "default" in record else ""
    return f"{record['name']}{'' if kind == 'any' else f': {kind}'}{default}"


def _entries(given: Any) -> list[tuple[str, Any]]:
    if not given:
        return []
    if isinstance(given, Mapping):
        pairs = list(given.items())
    elif isinstance(given, list | tuple) and all(isinstance(entry, Mapping) for entry in given):
        pairs = [(entry.get("name"), entry) for entry in given]
    else:
        raise TemplateError(
            f"variables must be a mapping of name: type, or a list with a name each, not {given!r:.{_SHOWN}}",
            cure="write variables: {text: string}",
        )
    for name, _ in pairs:
        if not isinstance(name, str) or not name:
            raise TemplateError(
                f"a declared variable has no name, but {name!r:.{_SHOWN}}", cure="write name: type"
            )
    return pairs


def _read(name: str, entry: Any) -> Record:
    written = entry if isinstance(entry, Mapping) else {"type": entry}
    for key in written:
        if key not in _KEYS:
            raise TemplateError(
                f"the declaration of {name!r} has no key {key!r:.{_SHOWN}}",
                cure=did_you_mean(str(key), _KEYS) or f"the keys are: {', '.join(_KEYS)}",
            )
    if written.get("name", name) != name:
        raise TemplateError(
            f"the variable {name!r} is also called {written['name']!r:.{_SHOWN}}", cure="keep one name"
        )
    record: Record = {"type": _type(name, written.get("type"))}
    for key in ("description", "default", "enum", "example", "required"):
        if key in written and (written[key] is not None or key == "default"):
            record[key] = _plain(name, written[key])
    _check(name, record)
    return record


def _type(name: str, given: Any) -> str:
    word = given.__name__ if isinstance(given, type) else given
    if word is None:
        return "any"
    kind = _ALIASES.get(word, word) if isinstance(word, str) else word
    if kind not in TYPES:
        raise TemplateError(
            f"the variable {name!r} is declared as {word!r:.{_SHOWN}}, which is no type",
            cure=did_you_mean(str(word), [*TYPES, *_ALIASES]) or f"the types are: {', '.join(TYPES)}",
        )
    return str(kind)


def _plain(name: str, value: Any) -> Any:
    try:
        return plain(value, what=f"the variable {name!r}")
    except DataError as error:
        raise TemplateError(error.message, cure=error.cure) from error


def _check(name: str, record: Record) -> None:
    """Check a declaration against itself."""
    if not isinstance(record.get("required", False), bool):
        raise TemplateError(
            f"required of {name!r} must be true or false, not {record['required']!r:.{_SHOWN}}"
        )
    if not isinstance(record.get("description", ""), str):
        raise TemplateError(
            f"the description of {name!r} must be text, not {record['description']!r:.{_SHOWN}}"
        )
    if "enum" in record and not (isinstance(record["enum"], list) and record["enum"]):
        raise TemplateError(f"enum of {name!r} must be a list of values, not {record['enum']!r:.{_SHOWN}}")
    if record.get("default", "") is None:
        raise TemplateError(
            f"the default of {name!r} is null, which is no value",
            cure=f"write {{{{ {name} | default('') }}}} in the prompt instead",
        )
    if "default" in record and record.get("required"):
        raise TemplateError(
            f"the variable {name!r} has a default, so it is never missing, and is declared as required",
            cure="leave one of the two out",
        )
    allowed = record.get("enum", [])
    for key, values in (
        ("enum", allowed),
        ("default", [record.get("default")]),
        ("example", [record.get("example")]),
    ):
        for value in values if key in record else ():
            problem = _problem(record, value) if key != "enum" else _type_problem(record["type"], value)
            if problem:
                raise TemplateError(f"{key} of {name!r} {problem}", cure="change the type, or the value")


def _record(name: str, declared: Record, *, needed: bool) -> Record:
    required = declared.get("required", needed and "default" not in declared)
    if needed and not required and "default" not in declared:
        raise TemplateError(
            f"the variable {name!r} is declared as not required, and the prompt cannot do without it",
            cure=f"declare a default, or write {{{{ {name} | default('') }}}}",
        )
    rest = {key: value for key, value in declared.items() if key not in {"type", "required"}}
    return {"name": name, "type": declared.get("type", "any"), "required": required, **rest}


def _says_more(record: Mapping[str, Any]) -> bool:
    """Whether somebody declared the variable, and more than that it is there."""
    return record.get("type", "any") != "any" or "default" in record or "enum" in record


def _fill(record: Mapping[str, Any], values: dict[str, Any], where: str) -> None:
    name = str(record["name"])
    value = values.get(name)
    if value is not None and _says_more(record):
        value = values[name] = _checked(record, _plain(name, value), where)
    if value is not None:
        return
    if "default" in record:
        values[name] = record["default"]
    elif record.get("required"):
        raise UndefinedVariableError(
            f"{where}the variable {name!r} is None or NaN",
            cure=f"give it a value, or declare a default for {name!r}",
        )


def _checked(record: Mapping[str, Any], value: Any, where: str) -> Any:
    if value is None:
        return None
    problem = _problem(record, value)
    if problem:
        raise VariableTypeError(
            f"{where}the variable {record['name']!r} {problem}", cure=_cure(record, value)
        )
    return int(value) if record.get("type") == "integer" else value


def _problem(record: Mapping[str, Any], value: Any) -> str:
    wrong = _type_problem(record.get("type", "any"), value)
    if wrong:
        return wrong
    allowed = record.get("enum")
    if allowed is not None and not any(_same(value, each) for each in allowed):
        return f"must be one of {', '.join(map(repr, allowed)):.200}, not {value!r:.{_SHOWN}}"
    return ""


def _type_problem(kind: str, value: Any) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        "string": isinstance(value, str),
        "integer": is_number and (isinstance(value, int) or value.is_integer()),
        "number": is_number,
        "boolean": isinstance(value, bool),
        "array": isinstance(value, list),
        "object": isinstance(value, dict),
        "any": True,
    }
    # What an older version stored, or SQL, may be of no type that there is: it holds nobody up.
    return (
        "" if fits.get(kind, True) else f"must be {_ARTICLES.get(kind, f'a {kind}')}, not {_described(value)}"
    )


def _described(value: Any) -> str:
    for kind, of in (
        ("boolean", bool),
        ("string", str),
        ("number", int | float),
        ("array", list),
        ("object", dict),
    ):
        if isinstance(value, of):
            return f"the {kind} {value!r:.{_SHOWN}}"
    return "null"


def _same(value: Any, other: Any) -> bool:
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def _cure(record: Mapping[str, Any], value: Any) -> str:
    allowed = record.get("enum")
    if allowed is not None and not _type_problem(record["type"], value):
        return did_you_mean(str(value), map(str, allowed)) or "pass one of them"
    return _CURES[record["type"]].format(name=record["name"])
