"""A/B tests: the design, its arms, and every look that was taken."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import CheckConstraint, Double, ForeignKey, Integer, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.base import Base, Json, JsonList, Now, OwnerId, Pk, ProjectId

__all__ = ["AbArm", "AbLook", "AbTest"]


class AbTest(Base):
    """One experiment: the question is fixed before the answer is seen."""

    __tablename__ = "ab_tests"
    __table_args__ = (
        UniqueConstraint("project_id", "name"),
        CheckConstraint("status IN ('draft', 'running', 'completed', 'stopped')", name="status"),
        CheckConstraint("design IN ('fixed', 'anytime', 'group_sequential')", name="design"),
        CheckConstraint("alpha > 0 AND alpha < 1 AND power > 0 AND power < 1", name="rates"),
    )

    id: Mapped[Pk]
    project_id: Mapped[ProjectId]
    user_id: Mapped[OwnerId]
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None]
    variant_a_prompt_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("wb.prompts.id"), index=True)
    variant_b_prompt_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("wb.prompts.id"), index=True)
    model_config_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("wb.model_configs.id"), index=True)
    evaluation_template_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("wb.evaluation_templates.id"), index=True
    )
    dataset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("wb.datasets.id"), index=True)
    sample_size: Mapped[int] = mapped_column(Integer, server_default=text("100"))
    samples: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    design: Mapped[str] = mapped_column(server_default=text("'fixed'"))
    metric: Mapped[str] = mapped_column(server_default=text("'pass'"))
    scorers: Mapped[JsonList]
    guards: Mapped[JsonList]
    alpha: Mapped[float] = mapped_column(Double, server_default=text("0.05"))
    power: Mapped[float] = mapped_column(Double, server_default=text("0.8"))
    mde: Mapped[float | None] = mapped_column(Double)
    margin: Mapped[float | None] = mapped_column(Double)
    seed: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    status: Mapped[str] = mapped_column(String(50), server_default=text("'draft'"))
    results: Mapped[Json]
    created_at: Mapped[Now]
    completed_at: Mapped[dt.datetime | None]


class AbArm(Base):
    """What one arm calls: a prompt version, a model, options."""

    __tablename__ = "ab_arms"
    __table_args__ = (CheckConstraint("variant ~ '^[A-Z]$'", name="variant"),)

    ab_test_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("wb.ab_tests.id", ondelete="CASCADE"), primary_key=True
    )
    variant: Mapped[str] = mapped_column(String(1), primary_key=True)
    prompt_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("wb.prompts.id"), index=True)
    model_config_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("wb.model_configs.id"), index=True)
    options: Mapped[Json]


class AbLook(Base):
    """One look at the data: what was seen, and when. Looks are never edited."""

    __tablename__ = "ab_looks"

    ab_test_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("wb.ab_tests.id", ondelete="CASCADE"), primary_key=True
    )
    look: Mapped[int] = mapped_column(Integer, primary_key=True)
    user_id: Mapped[OwnerId]
    n_cases: Mapped[int] = mapped_column(Integer)
    verdict: Mapped[str]
    result: Mapped[dict[str, Any]]
    created_at: Mapped[Now]
