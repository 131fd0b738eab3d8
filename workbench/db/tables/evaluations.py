"""Scores of executions, and the rubrics they follow."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Numeric,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.base import Base, Json, Now, OwnerId, Pk, ProjectId, Timestamp

__all__ = ["Evaluation", "EvaluationTemplate"]


class EvaluationTemplate(Base):
    """A rubric: criteria, weights, scale, threshold."""

    __tablename__ = "evaluation_templates"
    __table_args__ = (UniqueConstraint("user_id", "name"),)

    id: Mapped[Pk]
    user_id: Mapped[OwnerId]
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None]
    criteria: Mapped[Json]
    scoring_rubric: Mapped[Json]
    is_public: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[Now]
    updated_at: Mapped[Now]


class Evaluation(Base):
    """What one scorer (a rule, a judge, a person) says of one execution."""

    __tablename__ = "evaluations"
    __table_args__ = (
        ForeignKeyConstraint(
            ["execution_id", "run_at"], ["wb.executions.id", "wb.executions.run_at"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(
            ["judge_execution_id", "judge_run_at"], ["wb.executions.id", "wb.executions.run_at"]
        ),
        CheckConstraint("(judge_execution_id IS NULL) = (judge_run_at IS NULL)", name="judge"),
        UniqueConstraint("execution_id", "run_at", "scorer", "rater", "vote"),
        Index(
            "ix_evaluations_judge",
            "judge_execution_id",
            "judge_run_at",
            postgresql_where=text("judge_execution_id IS NOT NULL"),
        ),
    )

    id: Mapped[Pk]
    execution_id: Mapped[uuid.UUID]
    run_at: Mapped[Timestamp]
    project_id: Mapped[ProjectId]
    user_id: Mapped[OwnerId]
    evaluation_template_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("wb.evaluation_templates.id"), index=True
    )
    judge_execution_id: Mapped[uuid.UUID | None]
    judge_run_at: Mapped[Timestamp | None]
    scorer: Mapped[str]
    rater: Mapped[str] = mapped_column(server_default=text("'rule'"))
    vote: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    evaluation_criteria: Mapped[dict[str, Any]]
    scores: Mapped[dict[str, Any]]
    automated_feedback: Mapped[Json]
    human_feedback: Mapped[str | None]
    overall_score: Mapped[Decimal | None] = mapped_column(Numeric(12, 6), index=True)
    passed: Mapped[bool | None]
    created_at: Mapped[Now]
