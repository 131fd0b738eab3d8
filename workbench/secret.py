"""The one type that carries a secret: every way of printing it gives ``***``."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["Secret"]


class Secret:
    """A string that prints, formats and serialises as ``***``.

    Only the code that must hand the value on (the HTTP client, the database driver) calls
    :meth:`reveal`. Pickling is refused: a pickled secret is a secret on disk.

    >>> key = Secret("sk-123")
    >>> f"{key} {key!r}"
    "*** Secret('***')"
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __reduce__(self) -> NoReturn:
        message = "a Secret is never pickled"
        raise TypeError(message)
