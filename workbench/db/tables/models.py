"""Models that a person may call, the families they belong to, and what they cost from which day on."""

from __future__ import annotations

import datetime as dt
import uuid

from sqlalchemy import CheckConstraint, ForeignKey, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.base import Base, Json, Money, Now, OwnerId, Pk

__all__ = ["ModelConfig", "ModelFamily", "ModelPrice"]


class ModelConfig(Base):
    """A model under its full id, ``<provider>/<the provider's id>``; shared by everybody."""

    __tablename__ = "model_configs"

    id: Mapped[Pk]
    model_id: Mapped[str] = mapped_column(String(255), unique=True)
    model_name: Mapped[str] = mapped_column(String(255))
    provider: Mapped[str] = mapped_column(String(100))
    context_length: Mapped[int | None] = mapped_column(Integer)
    max_tokens: Mapped[int | None] = mapped_column(Integer)
    supports_streaming: Mapped[bool] = mapped_column(server_default=text("true"))
    supports_functions: Mapped[bool] = mapped_column(server_default=text("false"))
    pricing: Mapped[Json]
    settings: Mapped[Json]
    best_practices: Mapped[Json]
    created_at: Mapped[Now]
    updated_at: Mapped[Now]


class ModelFamily(Base):
    """How to write for a family of models; ships with the workbench. ``wb.model_family(id)`` finds a model's."""

    __tablename__ = "model_families"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    title: Mapped[str]
    rank: Mapped[int] = mapped_column(Integer)
    pattern: Mapped[str]
    best_practices: Mapped[Json]
    settings: Mapped[Json]


class ModelPrice(Base):
    """What a model cost from ``valid_from`` on, by the word of one person's provider account."""

    __tablename__ = "model_prices"
    __table_args__ = (CheckConstraint("price_prompt >= 0 AND price_completion >= 0", name="positive"),)

    user_id: Mapped[OwnerId] = mapped_column(primary_key=True)
    model_config_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("wb.model_configs.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    valid_from: Mapped[dt.datetime] = mapped_column(primary_key=True, server_default=text("now()"))
    price_prompt: Mapped[Money]
    price_completion: Mapped[Money]
    source: Mapped[str]
