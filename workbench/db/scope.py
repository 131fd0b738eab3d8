"""Who writes, and into which project: handed to every query that inserts."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

__all__ = ["Scope"]


@dataclass(frozen=True, slots=True)
class Scope:
    """The project and the person that new rows belong to."""

    project_id: uuid.UUID
    user_id: uuid.UUID
