"""Models and what they cost."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, bindparam, select, text

from workbench.core.chat import ModelInfo
from workbench.db.tables import ModelConfig, ModelPrice

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["id_of", "known_ids", "price_of", "register", "store_price"]

_REGISTER = text(
    "SELECT wb.register_model(:model_id, :name, :provider, :context, :max_tokens, :streams)"
).bindparams(bindparam("context", type_=Integer), bindparam("max_tokens", type_=Integer))


def register(session: Session, info: ModelInfo, provider: str) -> uuid.UUID:
    """Return the id of a model's row, which is made if it is new."""
    found = session.scalars(select(ModelConfig.id).where(ModelConfig.model_id == info.model_id)).first()
    if found is not None and info.context_length is None:
        return found
    values: dict[str, Any] = {
        "model_id": info.model_id,
        "name": info.name,
        "provider": provider,
        "context": info.context_length,
        "max_tokens": info.max_tokens,
        "streams": info.supports_streaming,
    }
    return uuid.UUID(str(session.execute(_REGISTER, values).scalar_one()))


def store_price(
    session: Session,
    user_id: uuid.UUID,
    model: uuid.UUID,
    *,
    prompt: Decimal,
    completion: Decimal,
    source: str,
) -> None:
    """Add a dated price, unless the newest one is the same."""
    if price_of(session, model) != (prompt, completion):
        session.add(
            ModelPrice(
                user_id=user_id,
                model_config_id=model,
                price_prompt=prompt,
                price_completion=completion,
                source=source,
            )
        )


def price_of(session: Session, model: uuid.UUID) -> tuple[Decimal, Decimal] | None:
    """Return the newest price, USD per prompt token and per completion token, or None."""
    row = session.execute(
        select(ModelPrice.price_prompt, ModelPrice.price_completion)
        .where(ModelPrice.model_config_id == model)
        .order_by(ModelPrice.valid_from.desc())
        .limit(1)
    ).one_or_none()
    return (row[0], row[1]) if row else None


def id_of(session: Session, model: uuid.UUID) -> str:
    """Return the full id of a model's row."""
    return session.scalars(select(ModelConfig.model_id).where(ModelConfig.id == model)).one()


def known_ids(session: Session) -> list[str]:
    """Return the ids of all models that were used or synchronised."""
    return list(session.scalars(select(ModelConfig.model_id).order_by(ModelConfig.model_id)))
