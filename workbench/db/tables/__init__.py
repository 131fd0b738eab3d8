"""The typed tables, one module a noun."""

from __future__ import annotations

from workbench.db.tables.accounts import Project, ProjectMember, User
from workbench.db.tables.audit import AuditLog
from workbench.db.tables.conversations import Conversation
from workbench.db.tables.datasets import Case, Dataset
from workbench.db.tables.evaluations import Evaluation, EvaluationTemplate
from workbench.db.tables.experiments import AbArm, AbLook, AbTest
from workbench.db.tables.limits import Budget, RateLimit
from workbench.db.tables.models import ModelConfig, ModelFamily, ModelPrice
from workbench.db.tables.prompts import LibraryPrompt, Prompt, PromptLabel
from workbench.db.tables.reports import Report
from workbench.db.tables.runs import Attempt, Execution, Run

__all__ = [
    "AbArm",
    "AbLook",
    "AbTest",
    "Attempt",
    "AuditLog",
    "Budget",
    "Case",
    "Conversation",
    "Dataset",
    "Evaluation",
    "EvaluationTemplate",
    "Execution",
    "LibraryPrompt",
    "ModelConfig",
    "ModelFamily",
    "ModelPrice",
    "Project",
    "ProjectMember",
    "Prompt",
    "PromptLabel",
    "RateLimit",
    "Report",
    "Run",
    "User",
]
