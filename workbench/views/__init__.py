"""Values to safe HTML or a plotly figure. Importing this package registers every renderer."""

from __future__ import annotations

from workbench.views import cards, conversations, diffs, experiments, library, prompts

__all__ = ["cards", "conversations", "diffs", "experiments", "library", "prompts"]
