"""Families of models, and what is stored of each model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import distinct_on

from workbench.core.guides import ModelFamily
from workbench.db.tables import ModelConfig, ModelPrice
from workbench.db.tables import ModelFamily as FamilyRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["FAKE", "OTHER", "Stored", "families_of", "family", "family_names", "stored"]

#: The family of models about which nothing is known, and of those that answer by script.
OTHER, FAKE = "other", "fake"

_FAMILIES_OF = text("SELECT id, wb.model_family(id) FROM unnest(CAST(:ids AS text[])) AS id")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A model's row with its newest price, as this person's provider reported it."""

    config: ModelConfig
    price_prompt: Decimal | None
    price_completion: Decimal | None


def families_of(session: Session, ids: Iterable[str]) -> dict[str, str]:
    """Return the family of each model id; the database's own rule, so that there is only one."""
    found = session.execute(_FAMILIES_OF, {"ids": list(ids)})
    return {str(model): str(name) for model, name in found if name is not None}


def family(session: Session, name: str) -> ModelFamily | None:
    """Return a family by its name."""
    row = session.get(FamilyRow, name)
    if row is None:
        return None
    return ModelFamily(
        name=row.name,
        title=row.title,
        rank=row.rank,
        pattern=row.pattern,
        best_practices=dict(row.best_practices),
        settings=dict(row.settings),
    )


def family_names(session: Session) -> list[str]:
    """Return the names of all families, the most particular first."""
    return list(session.scalars(select(FamilyRow.name).order_by(FamilyRow.rank)))


def stored(session: Session, ids: Sequence[str] | None = None) -> dict[str, Stored]:
    """Return the rows of models by their full id; of all models where no ids are given."""
    newest = (
        select(ModelPrice.model_config_id, ModelPrice.price_prompt, ModelPrice.price_completion)
        .ext(distinct_on(ModelPrice.model_config_id))
        .order_by(ModelPrice.model_config_id, ModelPrice.valid_from.desc())
        .subquery()
    )
    query = select(ModelConfig, newest.c.price_prompt, newest.c.price_completion).outerjoin(
        newest, newest.c.model_config_id == ModelConfig.id
    )
    if ids is not None:
        query = query.where(ModelConfig.model_id.in_(ids))
    return {
        row.model_id: Stored(config=row, price_prompt=prompt, price_completion=completion)
        for row, prompt, completion in session.execute(query)
    }
