"""How fast models may be called: ``wb.models.limit``, ``limits`` and ``unlimit``."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from workbench.core.display import Rich
from workbench.db import limits
from workbench.db.columns import frame_of
from workbench.errors import InputError, UnknownModelError, UnknownReferenceError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from workbench.db.engine import Database
    from workbench.providers.registry import Registry

__all__ = ["LIMITS", "Limit", "frame", "remove", "set_"]

#: Columns of ``wb.models.limits()``.
LIMITS = {
    "name": "str", "rpm": "float64", "tpm": "float64", "concurrency": "Int64", "in_flight": "Int64", "pace": "float64",
    "blocked_s": "float64",
}  # fmt: skip

_MOST = 2**31 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit(Rich):
    """How fast a provider or a model may be called; None where there is no limit.

    Attributes:
        name: ``openrouter`` for all of a provider, ``openrouter/openai/gpt-4o`` for one model.
        rpm: calls a minute.
        tpm: tokens a minute, of prompts and answers.
        concurrency: calls in flight.

    """

    name: str
    rpm: float | None = None
    tpm: float | None = None
    concurrency: int | None = None

    def __str__(self) -> str:
        parts = [
            *([f"{self.rpm:,.10g} calls a minute"] if self.rpm is not None else []),
            *([f"{self.tpm:,.10g} tokens a minute"] if self.tpm is not None else []),
            *([f"{self.concurrency:,} at once"] if self.concurrency is not None else []),
        ]
        return f"{self.name}: at most {', '.join(parts)}"


def set_(
    database: Database,
    registry: Registry,
    name: str,
    *,
    rpm: float | None,
    tpm: float | None,
    concurrency: int | None,
) -> Limit:
    """Set limits; those that are None stay as they are.

    Raises:
        InputError: a limit is no number above 0, or none is given.
        UnknownModelError: nobody answers under that name.

    """
    asked = {"rpm": rpm, "tpm": tpm, "concurrency": concurrency}
    if all(value is None for value in asked.values()):
        raise InputError(
            f"no limit is given for {name}",
            cure="give rpm (calls a minute), tpm (tokens a minute) or concurrency; unlimit removes limits",
        )
    for what, value in asked.items():
        _check(what, value)
    provider, model = _parse(registry, name)
    with database.driver() as connection:
        limits.set_limit(
            connection,
            database.user_id,
            provider,
            model,
            rpm=None if rpm is None else float(rpm),
            tpm=None if tpm is None else float(tpm),
            concurrency=None if concurrency is None else int(concurrency),
        )
        rows = limits.limits(connection, database.user_id)
    full = f"{provider}/{model}".rstrip("/")
    row = next(row for row in rows if row[0] == full)
    return Limit(name=full, rpm=row[1], tpm=row[2], concurrency=row[3])


def remove(database: Database, registry: Registry, name: str) -> str:
    """Remove the limits of a provider or model, and what is remembered of its refusals; return its full name.

    Raises:
        UnknownReferenceError: it has no limit.

    """
    with database.driver() as connection:
        known = [row[0] for row in limits.limits(connection, database.user_id)]
        # what is known needs no look-up: its server may not be configured any more
        full = name if name in known else "/".join(_parse(registry, name)).rstrip("/")
        if full not in known:
            cure = did_you_mean(full, known) or f"limits: {', '.join(known) or 'none is set'}"
            raise UnknownReferenceError(f"there is no limit for {full}", cure=cure)
        provider, _, model = full.partition("/")
        limits.remove_limit(connection, database.user_id, provider, model)
    return full


def frame(database: Database) -> pd.DataFrame:
    """Return the person's limits, in the columns of :data:`LIMITS`."""
    with database.driver() as connection:
        return frame_of(limits.limits(connection, database.user_id), LIMITS)


def _parse(registry: Registry, name: str) -> tuple[str, str]:
    """Return provider and model of a name; the model is empty for all of a provider."""
    providers = registry.names()
    if name in providers:
        return name, ""
    if "/" not in name:
        near = did_you_mean(name, providers) or f"there are {', '.join(providers)};"
        raise UnknownModelError(
            f"no provider is named {name!r}",
            cure=f"{near} or give a model's whole id, such as openrouter/{name}/…",
        )
    found = registry.resolve(name)
    return found.provider.name, found.model


def _check(what: str, value: Any) -> None:
    if value is None:
        return
    whole = what == "concurrency"
    fits = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
    if not fits or not 0 < float(value) <= _MOST:
        cure = f"give a {'whole ' if whole else ''}number above 0; unlimit removes a limit"
        raise InputError(f"{what} is {value!r}", cure=cure)
