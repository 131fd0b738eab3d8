"""Data that ships with the workbench, read strictly: a wrong file is an error that names the place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import yaml

from workbench.errors import DataError

__all__ = ["load_data", "the"]

T = TypeVar("T")

# libyaml's parser, ten times as fast, wherever PyYAML was built with it; both read the same.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_data(text: str, *, source: str, keys: Sequence[str]) -> dict[str, Any]:
    """Read a YAML file that is a mapping with exactly these keys.

    Raises:
        DataError: it does not parse, or has other keys.

    """
    try:
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - safe, either of them
    except yaml.YAMLError as error:
        raise DataError(f"{source} does not parse: {error}") from error
    if not isinstance(data, dict) or set(data) != set(keys):
        raise DataError(f"{source} must have the keys {', '.join(keys)}")
    return data


def the(data: Mapping[str, Any], key: str, kind: type[T], where: str) -> T:
    """Return a value that must be there and be of a type; a text must not be blank.

    Raises:
        DataError: it is missing, or something else.

    >>> the({"title": "Code"}, "title", str, "code.yaml")
    'Code'
    """
    value = data.get(key)
    if not isinstance(value, kind) or (isinstance(value, str) and not value.strip()):
        raise DataError(f"{where}: {key} must be given as {kind.__name__}, not {value!r:.80}")
    return value
