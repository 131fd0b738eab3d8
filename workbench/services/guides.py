"""How to write for a model: what is stored of it, and else what its family says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from workbench.core.guides import ModelGuide, in_order
from workbench.db.engine import Database
from workbench.db.queries import guides, library
from workbench.errors import UnknownModelError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["frame", "guide"]

_TYPES: Final = {
    "model": "object",
    "family": "object",
    "context_length": "Int64",
    "max_tokens": "Int64",
    "price_prompt": "Float64",
    "price_completion": "Float64",
    "settings": "object",
}


def guide(database: Database, model_id: str, *, resolve: Callable[[str], str]) -> ModelGuide:
    """Return the guide of a model, by its id or its family's name.

    Args:
        database: whose rows are read.
        model_id: as a person wrote it.
        resolve: gives the full id of a model that can be called, or raises; asked where nothing is known.

    Raises:
        UnknownModelError: nobody answers for that id, and no family is known for it.

    """
    wanted = model_id.replace("\0", "").strip()
    with database.session() as session:
        found = guides.stored(session, [wanted, f"openrouter/{wanted}"])
        row = found.get(wanted) or found.get(f"openrouter/{wanted}")
        full = row.config.model_id if row else wanted
        named = guides.family(session, wanted)
        family = named or guides.family(session, guides.families_of(session, [full]).get(full, guides.OTHER))
        name = family.name if family else guides.OTHER
        templates = library.official_for(session, name)
        known = guides.family_names(session)
    if row is None and named is None and name == guides.OTHER:
        if "/" not in wanted and (guess := did_you_mean(wanted, known)):
            raise UnknownModelError(f"{wanted!r:.300} is neither a model nor a family", cure=guess)
        full = resolve(wanted)
    advice = (row.config.best_practices if row else None) or (family.best_practices if family else {})
    return ModelGuide(
        model=full,
        family=name,
        title=family.title if family else "",
        best_practices=in_order(advice),
        settings=(row.config.settings if row else None) or (family.settings if family else {}),
        context_length=row.config.context_length if row else None,
        max_tokens=row.config.max_tokens if row else None,
        price_prompt=row.price_prompt if row else None,
        price_completion=row.price_completion if row else None,
        templates=templates,
    )


def frame(database: Database, ids: Sequence[str]) -> pd.DataFrame:
    """Return models as rows; ``<provider>/…`` has no family, for it stands for many models."""
    import pandas as pd

    with database.session() as session:
        families = guides.families_of(session, [model for model in ids if not model.endswith("/…")])
        stored = guides.stored(session)
    fake = {model: guides.FAKE for model in ids if model.startswith(f"{guides.FAKE}/")}
    found = [[model, {**families, **fake}.get(model, ""), *_facts(stored.get(model))] for model in ids]
    return pd.DataFrame(found, columns=list(_TYPES)).astype(_TYPES)


def _facts(row: guides.Stored | None) -> list[Any]:
    if row is None:
        return [None, None, None, None, ""]
    prices = [None if price is None else float(price) for price in (row.price_prompt, row.price_completion)]
    settings = ", ".join(f"{name} {value}" for name, value in row.config.settings.items())
    return [row.config.context_length, row.config.max_tokens, *prices, settings]
