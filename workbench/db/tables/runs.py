"""The ledger: runs, executions (one row a call, failures too) and the HTTP tries of each."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.base import Base, Json, Now, OwnerId, Pk, ProjectId, RunAt, Timestamp

__all__ = ["Attempt", "Execution", "ExecutionWords", "Run"]


class Run(Base):
    """A batch: versions × models × cases × samples."""

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint("status IN ('running', 'finished', 'stopped')", name="status"),
        Index(
            "ix_runs_unfinished", "project_id", "plan_digest", postgresql_where=text("status <> 'finished'")
        ),
    )

    id: Mapped[Pk]
    run_at: Mapped[Now]
    project_id: Mapped[ProjectId]
    user_id: Mapped[OwnerId]
    dataset_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("wb.datasets.id"), index=True)
    ab_test_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("wb.ab_tests.id"), index=True)
    status: Mapped[str] = mapped_column(server_default=text("'running'"))
    plan: Mapped[Json]
    plan_digest: Mapped[str]
    n_planned: Mapped[int] = mapped_column(Integer)
    budget: Mapped[Decimal | None]
    reserved: Mapped[Decimal] = mapped_column(server_default=text("0"))
    spent: Mapped[Decimal] = mapped_column(server_default=text("0"))
    holder: Mapped[str | None]
    heartbeat_at: Mapped[dt.datetime | None]
    finished_at: Mapped[dt.datetime | None]


class Execution(Base):
    """One call of a model: request, answer, usage, cost, status."""

    __tablename__ = "executions"
    __table_args__ = (
        CheckConstraint(
            "status IN ('planned', 'sent', 'done', 'failed', 'lost', 'unknown', 'late')", name="status"
        ),
        CheckConstraint("purpose IN ('run', 'judge', 'embed', 'synthetic', 'ablation')", name="purpose"),
        CheckConstraint("cost_source IN ('provider', 'price', 'cache')", name="cost_source"),
        CheckConstraint("cost_estimate >= 0", name="cost"),
        CheckConstraint("reserved >= 0", name="reserved"),
        # A second claim of the same call, and a second answer to it, are refused by this index.
        Index(
            "uq_executions_ledger",
            "run_at", "run_id", "case_key", "prompt_id", "model_config_id", "variant", "sample",
            unique=True,
            postgresql_where=text("status IN ('planned', 'sent', 'done')"),
        ),
        Index("ix_executions_response_data", "response_data", postgresql_using="gin", postgresql_ops={"response_data": "jsonb_path_ops"}),
        Index("ix_executions_created_at", text("created_at DESC")),
        Index(None, "prompt_id", "model_config_id"),
        Index(None, "project_id", "finished_at"),
        Index("ix_executions_digest", "request_digest", postgresql_where=text("status = 'done'")),
        Index("ix_executions_sent", "user_id", "model_config_id", postgresql_where=text("status = 'sent'")),
        Index(
            "ix_executions_conversation_id", "conversation_id", postgresql_where=text("conversation_id IS NOT NULL")
        ),
    )  # fmt: skip

    id: Mapped[Pk]
    run_at: Mapped[RunAt]
    run_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("wb.runs.id", ondelete="CASCADE"), index=True)
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("wb.projects.id", ondelete="CASCADE"))
    user_id: Mapped[OwnerId]
    prompt_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("wb.prompts.id", ondelete="CASCADE"))
    model_config_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("wb.model_configs.id"), index=True)
    case_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("wb.cases.id"), index=True)
    case_key: Mapped[str | None]
    variant: Mapped[str] = mapped_column(server_default=text("''"))
    sample: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    purpose: Mapped[str] = mapped_column(server_default=text("'run'"))
    status: Mapped[str] = mapped_column(server_default=text("'planned'"))
    input_variables: Mapped[Json]
    request_payload: Mapped[dict[str, Any]]
    request_digest: Mapped[str]
    response_data: Mapped[dict[str, Any] | None]
    answer: Mapped[str | None]
    answer_json: Mapped[Any | None] = mapped_column(JSONB)
    finish_reason: Mapped[str | None]
    provider: Mapped[str | None]
    tokens_prompt: Mapped[int | None] = mapped_column(Integer)
    tokens_completion: Mapped[int | None] = mapped_column(Integer)
    tokens_total: Mapped[int | None] = mapped_column(Integer)
    tokens_cached: Mapped[int | None] = mapped_column(Integer)
    tokens_reasoning: Mapped[int | None] = mapped_column(Integer)
    cost_estimate: Mapped[Decimal | None]
    cost_source: Mapped[str | None]
    execution_time_ms: Mapped[int | None] = mapped_column(Integer)
    ttft_ms: Mapped[int | None] = mapped_column(Integer)
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    score: Mapped[float | None] = mapped_column(Double)
    passed: Mapped[bool | None]
    cached_from: Mapped[uuid.UUID | None]
    reserved: Mapped[Decimal | None]
    conversation_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("wb.conversations.id", ondelete="CASCADE")
    )
    turn: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[Now]
    finished_at: Mapped[dt.datetime | None]


class ExecutionWords(Base):
    """The words of one answer, for searching; written by ``wb.keep_words`` after the ledger, never by it."""

    __tablename__ = "execution_words"
    __table_args__ = (
        ForeignKeyConstraint(
            ["execution_id", "run_at"], ["wb.executions.id", "wb.executions.run_at"], ondelete="CASCADE"
        ),
        Index(None, "project_id", "created_at"),
        Index("ix_execution_words_created_at", text("created_at DESC")),
        Index("ix_execution_words_search", "search", postgresql_using="gin"),
    )

    execution_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    run_at: Mapped[RunAt]
    project_id: Mapped[uuid.UUID]
    prompt_id: Mapped[uuid.UUID] = mapped_column(index=True)
    model_config_id: Mapped[uuid.UUID]
    status: Mapped[str]
    created_at: Mapped[Timestamp]
    search: Mapped[Any] = mapped_column(TSVECTOR, deferred=True)


class Attempt(Base):
    """One HTTP try of one execution."""

    __tablename__ = "attempts"
    __table_args__ = (
        ForeignKeyConstraint(
            ["execution_id", "run_at"], ["wb.executions.id", "wb.executions.run_at"], ondelete="CASCADE"
        ),
    )

    execution_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    run_at: Mapped[RunAt]
    n: Mapped[int] = mapped_column(Integer, primary_key=True)
    started_at: Mapped[Timestamp]
    duration_ms: Mapped[int] = mapped_column(Integer)
    http_status: Mapped[int | None] = mapped_column(Integer)
    error_code: Mapped[str | None]
    retry_after_ms: Mapped[int | None] = mapped_column(Integer)
