"""Finding provider keys in text, so that a cell with one is refused before it is stored."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["find_key"]

_KEY: Final = re.compile(r"\bsk-(?P<kind>or-v1-|proj-|ant-)?[A-Za-z0-9_-]{20,}")


def find_key(text: str) -> str | None:
    """Return the kind of the first provider key in a text, safe to print; None without one.

    >>> find_key("OPENROUTER_API_KEY=sk-or-v1-0123456789abcdef0123")
    'sk-or-v1-***'
    """
    match = _KEY.search(text)
    return f"sk-{match['kind'] or ''}***" if match else None
