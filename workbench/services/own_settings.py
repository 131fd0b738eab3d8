"""``wb.settings``: what a person has chosen for themselves, kept in ``users.settings``."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any

from workbench.core.keys import find_key
from workbench.db.queries import accounts
from workbench.errors import InputError

if TYPE_CHECKING:
    from workbench.services.workbench import Workbench

__all__ = ["OwnSettings"]

_MAX_NAME = 100
_MAX_VALUE = 100_000
#: Kept in the same place, but with verbs of their own that check what is stored.
_RESERVED = {"endpoints": "workbench models endpoint add NAME URL"}
#: Settings that mean something to the workbench itself → their values.
_KNOWN = {"theme": ("auto", "light", "dark")}
_LIKE = 0.85


class OwnSettings:
    """A person's own settings: they are the same in every notebook and on every machine of one database.

    Example:
        >>> wb.settings.set("theme", "dark")  # doctest: +SKIP
        >>> wb.settings.get("theme")  # doctest: +SKIP
        'dark'

    """

    def __init__(self, workbench: Workbench) -> None:
        self._wb = workbench

    def set(self, name: str, value: Any) -> None:
        """Store one setting; the others stay as they are, also when two notebooks write at once.

        Args:
            name: of the setting.
            value: anything that JSON can hold, up to 100,000 characters.

        Raises:
            InputError: the name or the value cannot be stored, or the value is a key.

        """
        _check_name(name)
        if name in _RESERVED:
            raise InputError(f"the setting {name!r} is the workbench's own", cure=f"use {_RESERVED[name]}")
        _check_known(name, value)
        text = _json(name, value)
        with self._wb.database.session() as session:
            accounts.set_setting(session, self._wb.database.user_id, [name], json.loads(text))

    def get(self, name: str, default: Any = None) -> Any:
        """Return one setting, or ``default`` where it was never set."""
        _check_name(name)
        return self.all().get(name, default)

    def all(self) -> dict[str, Any]:
        """Return every setting by name."""
        with self._wb.database.session() as session:
            return accounts.settings(session, self._wb.database.user_id)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > _MAX_NAME:
        raise InputError(
            f"a setting cannot be called {name!r:.60}",
            cure=f"give it a name of 1 to {_MAX_NAME} characters, such as 'theme'",
        )


def _check_known(name: str, value: Any) -> None:
    close = difflib.get_close_matches(name.lower(), _KNOWN, n=1, cutoff=_LIKE)
    if name not in _KNOWN and close:
        raise InputError(
            f"there is no setting {name!r:.60}",
            cure=f"did you mean {close[0]!r}? A setting of your own needs a name that is less like it",
        )
    if value is not None and value not in _KNOWN.get(name, (value,)):
        raise InputError(
            f"the setting {name!r} cannot be {value!r:.60}", cure=f"use one of {', '.join(_KNOWN[name])}"
        )


def _json(name: str, value: Any) -> str:
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"the setting {name!r} cannot be stored: {error}",
            cure="give text, numbers, true or false, lists, or dicts of them",
        ) from error
    if "\\u0000" in text.replace("\\\\", ""):  # an escaped backslash before u0000 is only text
        raise InputError(
            f"the setting {name!r} has a NUL character, which cannot be stored", cure="remove it"
        )
    if len(text) > _MAX_VALUE:
        raise InputError(
            f"the setting {name!r} has {len(text):,} characters", cure=f"keep it below {_MAX_VALUE:,}"
        )
    if find_key(text):
        raise InputError(
            f"the setting {name!r} looks like a provider's key",
            cure="keys do not belong here: set OPENROUTER_API_KEY",
        )
    return text
