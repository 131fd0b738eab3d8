"""Schemas of answers: whatever a person gives as one, as JSON, and the check of an answer against it.

The JSON schema is the contract: it is what is stored, sent and checked, in every kernel. A class (pydantic
model, dataclass, TypedDict) is one more way to write it; where the class is known, its instance comes along.
pydantic and jsonschema are imported by the first schema, never before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, is_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.core.schema_rules import check_bounds, close_objects, response_format
from workbench.core.schema_rules import subschemas as inner_schemas
from workbench.core.versions import strip_fence
from workbench.errors import SchemaError, SchemaMismatchError, did_you_mean

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

    from workbench.core.chat import ChatResponse

__all__ = ["AnswerSchema", "Schemas", "with_schema"]

_MAX_FILE: Final = 1_000_000
_MAX_ANSWER: Final = 1_000_000
_MAX_STEPS: Final = 200_000
_MAX_PROBLEMS: Final = 3
_KINDS: Final = (
    "a pydantic model, a dataclass, a TypedDict, a JSON schema as a dict, or the path of a .json file"
)

#: How many keywords were looked at in the check that goes on.
_STEPS: ContextVar[list[int]] = ContextVar("steps")


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerSchema:
    """What an answer must be.

    Attributes:
        json: the JSON schema.
        response_format: what the request says of it.

    """

    json: Mapping[str, Any]
    response_format: Mapping[str, Any]
    _adapter: Any = field(default=None, repr=False, compare=False)

    def read(self, response: ChatResponse) -> Any:
        """Return what an answer holds: an instance of the class where one is known, else the JSON value.

        Raises:
            SchemaMismatchError: it is no JSON, or does not match; it carries the response.

        """
        if response.tool_calls and not response.text:
            return None  # the answer comes once the tools have replied
        try:
            return self.parse(response.text)
        except ValueError as error:
            raise SchemaMismatchError(
                f"the answer does not match its schema: {error}",
                cure="say in the prompt what each field means, allow it more tokens, or try another model",
                partial_text=response.text,
                response=response,
                attempts=response.attempts,
            ) from error

    def parse(self, text: str) -> Any:
        """Return what a text holds, a code fence around it removed.

        Raises:
            ValueError: it does not match; the message says where.

        """
        if len(text) > _MAX_ANSWER:
            raise ValueError(f"it has more than {_MAX_ANSWER:,} characters")
        body = strip_fence(text)
        try:
            value = json.loads(body, parse_constant=_no_constant)
        except ValueError as error:
            raise ValueError(f"it is no JSON: {error}" if body else "it is empty") from error
        except RecursionError as error:
            raise ValueError("it is nested too deep") from error
        problems = _problems(self.json, value)
        if problems:
            raise ValueError("; ".join(problems))
        return value if self._adapter is None else _instance(self._adapter, body)


class Schemas:
    """Knows the classes that were given as schemas in this kernel."""

    def __init__(self) -> None:
        self._adapters: dict[str, Any] = {}

    def read(
        self, given: Any, *, look_up: Callable[[str], Any] | None = None, folder: Path | None = None
    ) -> AnswerSchema:
        """Return the schema of whatever was given as one.

        Args:
            given: a class, a dict, the path of a ``.json`` file, or the name of a variable that holds one.
            look_up: finds a variable's value; raises KeyError. Without it a name means nothing.
            folder: where a relative path begins; by default the working directory.

        Raises:
            SchemaError: it is no schema, or one that cannot be used; nothing was called.

        """
        if isinstance(given, str | Path):
            given = _find(given, look_up, folder)
        if isinstance(given, AnswerSchema):
            return given
        adapter = None
        if isinstance(given, Mapping):
            schema = check_bounds(given)
        elif isinstance(given, type) and _is_model(given):
            adapter = _adapter(given)
            schema = check_bounds(close_objects(_schema_of(adapter, given)))
        else:
            what = (
                f"the class {given.__name__}"
                if isinstance(given, type)
                else f"a value of type {type(given).__name__}"
            )
            raise SchemaError(f"{what} is no schema of an answer", cure=f"give {_KINDS}")
        _check(schema)
        key = json.dumps(schema, sort_keys=True)
        if adapter is not None:
            self._adapters[key] = adapter
        return AnswerSchema(
            json=schema, response_format=response_format(schema), _adapter=self._adapters.get(key)
        )

    def of(self, options: Mapping[str, Any]) -> AnswerSchema | None:
        """Return the schema among the options of a call, or None."""
        given = options.get("schema")
        return None if given is None else self.read(given)

    def plain(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of a call with their schema as JSON, as they can be stored and compared."""
        schema = self.of(options)
        return {**options, **({} if schema is None else {"schema": schema.json})}


def with_schema(options: Mapping[str, Any] | None, schema: Any) -> dict[str, Any]:
    """Return the options of a call with its schema among them; None leaves the prompt's own."""
    return {**(options or {}), **({} if schema is None else {"schema": schema})}


def _find(given: str | Path, look_up: Callable[[str], Any] | None, folder: Path | None) -> Any:
    """Return what a name or a path leads to."""
    name = str(given)
    if isinstance(given, str) and look_up is not None:
        try:
            found = look_up(name)
        except KeyError:
            found = None
        if isinstance(found, str | Path):
            name = str(found)
        elif found is not None:
            return found
    if not name.endswith(".json"):
        cure = "define it in the notebook first" if look_up else f"give {_KINDS}: settings={{'schema': …}}"
        raise SchemaError(f"the schema {name!r:.100} is not there", cure=f"{cure}, or name a .json file")
    path = (folder or Path()) / Path(name).expanduser()
    try:
        if not path.is_file():
            raise SchemaError(f"there is no file {name}", cure="give a path that this kernel can read")
        if path.stat().st_size > _MAX_FILE:
            raise SchemaError(f"the file {name} is larger than {_MAX_FILE:,} bytes, too large for a schema")
        loaded = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise SchemaError(
            f"the file {name} holds no JSON schema: {error}", cure="write it as JSON"
        ) from error
    if not isinstance(loaded, dict):
        raise SchemaError(f"the file {name} holds no JSON schema, but a {type(loaded).__name__}")
    return loaded


def _is_model(given: type) -> bool:
    is_typed_dict = hasattr(given, "__required_keys__")
    return hasattr(given, "__pydantic_core_schema__") or is_dataclass(given) or is_typed_dict


def _adapter(given: type) -> Any:
    from pydantic import PydanticUserError, TypeAdapter
    from pydantic_core import SchemaError as CoreSchemaError

    try:
        return TypeAdapter(given)
    except (PydanticUserError, CoreSchemaError, NameError, TypeError) as error:
        raise _no_class(given, error) from error


def _schema_of(adapter: Any, given: type) -> dict[str, Any]:
    from pydantic import PydanticUserError

    try:
        return dict(adapter.json_schema())
    except PydanticUserError as error:
        raise _no_class(given, error) from error


def _no_class(given: type, error: Exception) -> SchemaError:
    return SchemaError(
        f"the class {given.__name__} has no JSON schema: {str(error).splitlines()[0]}",
        cure="use fields of text, numbers, booleans, lists, dicts, Literal, Enum and such classes",
    )


def _instance(adapter: Any, body: str) -> Any:
    from pydantic import ValidationError

    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        problems = [f"{_path(found['loc'])}: {found['msg']}" for found in error.errors(include_url=False)]
        raise ValueError("; ".join(problems[:_MAX_PROBLEMS])) from error


def _problems(schema: Mapping[str, Any], value: Any) -> list[str]:
    """Return what is wrong with a value, and where: the first few of it."""
    from jsonschema.exceptions import best_match

    _STEPS.set([0])
    try:
        found = sorted(
            _validator(schema).iter_errors(value), key=lambda error: [*map(str, error.absolute_path)]
        )
        best = [best_match([error]) or error for error in found[:_MAX_PROBLEMS]]
        return [f"{_path(error.absolute_path)}: {error.message:.200}" for error in best]
    except RecursionError:
        return ["it is nested too deep for the schema"]
    except _TooManyStepsError:
        return [f"it takes more than {_MAX_STEPS:,} steps to check"]


def _path(parts: Any) -> str:
    """Return a JSON path.

    >>> _path(["items", 0, "name"])
    '$.items[0].name'
    """
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


def _check(schema: dict[str, Any]) -> None:
    """Find what makes a dict no JSON schema."""
    from jsonschema.exceptions import SchemaError as NoSchemaError

    draft = _classes(schema)[0]
    if not {*draft.VALIDATORS} & {*schema}:
        hints = (did_you_mean(word, draft.VALIDATORS) for word in schema)
        raise SchemaError(
            "a dict without type, properties or any other keyword of JSON Schema is no schema: it would allow anything",
            cure=next(filter(None, hints), 'write {"type": "object", "properties": {…}}'),
        )
    try:
        draft.check_schema(schema)
    except NoSchemaError as error:
        raise SchemaError(
            f"the schema is none: {_path(error.absolute_path)}: {error.message:.200}",
            cure="see json-schema.org, or give a pydantic model",
        ) from error
    for pattern in _patterns(schema):
        _matcher(pattern)


def _patterns(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        yield from schema.get("patternProperties", {})
        for _, inner in inner_schemas(schema):
            yield from _patterns(inner)


class _TooManyStepsError(Exception):
    """A check that would not end in good time."""


def _validator(schema: Mapping[str, Any]) -> Validator:
    from referencing import Registry

    # A registry of our own: the default one would fetch what a reference names.
    return _classes(schema)[1](schema, registry=Registry())


def _classes(schema: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the validator of the draft that a schema names, and ours that is bounded."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for

    plain = validator_for(schema, default=Draft202012Validator)
    return plain, _bounded(plain)


@cache
def _bounded(plain: Any) -> Any:
    """Make a validator count its steps, and match patterns in linear time."""
    from jsonschema.validators import extend

    def counted(check: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any) -> Any:
            steps = _STEPS.get()
            steps[0] += 1
            if steps[0] > _MAX_STEPS:
                raise _TooManyStepsError
            return check(*arguments)

        return step

    ours = {"pattern": _pattern, "patternProperties": _pattern_properties, "uniqueItems": _unique_items}
    return extend(plain, {word: counted(ours.get(word, check)) for word, check in plain.VALIDATORS.items()})


def _pattern(validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if validator.is_type(value, "string") and not _matches(pattern, value):
        yield ValidationError(f"{value!r:.80} does not match {pattern!r:.80}")


def _pattern_properties(
    validator: Any, properties: Mapping[str, Any], value: Any, _schema: Any
) -> Iterator[Any]:
    if not validator.is_type(value, "object"):
        return
    for pattern, inner in properties.items():
        for name, each in value.items():
            if _matches(pattern, name):
                yield from validator.descend(each, inner, path=name, schema_path=pattern)


def _unique_items(validator: Any, wanted: bool, value: Any, _schema: Any) -> Iterator[Any]:  # noqa: FBT001 - jsonschema's protocol
    from jsonschema.exceptions import ValidationError

    if wanted and validator.is_type(value, "array"):
        texts = {json.dumps(each, sort_keys=True) for each in value}
        if len(texts) < len(value):
            yield ValidationError("it holds the same item twice")


def _matches(pattern: str, text: str) -> bool:
    from pydantic_core import ValidationError

    try:
        _matcher(pattern).validate_python(text)
    except ValidationError:
        return False
    return True


@cache
def _matcher(pattern: str) -> Any:
    """Compile a pattern for an engine without backtracking: no answer can make it take for ever."""
    from pydantic_core import SchemaError as CoreSchemaError
    from pydantic_core import SchemaValidator, core_schema

    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except CoreSchemaError as error:
        raise SchemaError(
            f"the schema's pattern {pattern!r:.80} cannot be used",
            cure="write it without look-around and back-references, or leave it out",
        ) from error


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no number")
