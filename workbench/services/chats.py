"""Conversations, as objects that a person holds: nothing is remembered that does not stand in their history."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workbench.core.body import parse_body
from workbench.core.composition import body_of
from workbench.core.conversations import SLOT, open_variable
from workbench.core.versions import PromptVersion
from workbench.db.queries import conversations as queries
from workbench.errors import InputError, UnknownReferenceError, did_you_mean
from workbench.services.attaching import read_attachments
from workbench.services.conversation import Chat

if TYPE_CHECKING:
    import pandas as pd

    from workbench.services.workbench import Workbench

__all__ = ["Chat", "Chats"]


class Chats:
    """The conversations of the project in use: ``wb.chats``; ``wb.chat(…)`` begins one."""

    def __init__(self, workbench: Workbench) -> None:
        self._wb = workbench

    def begin(
        self,
        prompt: str | PromptVersion | None = None,
        *,
        system: str | None = None,
        model: str | None = None,
        options: Mapping[str, Any] | None = None,
        variables: Mapping[str, Any] | None = None,
        title: str = "",
    ) -> Chat:
        """Return a conversation that begins with a prompt, or with a system text; see ``wb.chat``.

        Raises:
            InputError: a prompt and a system text are both given.
            UndefinedVariableError: more than one variable of the prompt is left open.

        """
        if prompt is not None and system is not None:
            raise InputError(
                "a conversation begins with a prompt or with a system text, not with both",
                cure="leave one of them out",
            )
        version = self._untitled(system) if prompt is None else self._wb.prompts.resolve(prompt)
        chosen = self._wb.models.choose(model, version)
        asked = self._wb.schemas.plain(options or {})
        open_variable(body_of(version), version.variables, variables or {})
        return Chat(
            self._wb,
            version,
            model=chosen.model_id,
            options=asked,
            variables=dict(variables or {}),
            title=title.strip(),
        )

    def list(self) -> pd.DataFrame:
        """Return the project's conversations, the one that was talked in last first.

        Returns:
            Columns ``conversation_id title prompt version model turns tokens cost person created_at last_at``: USD;
            turns are those that were answered.

        Example:
            >>> wb.chats.list().head()  # doctest: +SKIP

        """
        return queries.frame(self._wb.database, self._wb.project_id)

    def get(self, wanted: uuid.UUID | str, *, attach: Any = ()) -> Chat:
        """Return a conversation, to go on with it: by its id, or the newest one of that title.

        Args:
            wanted: the id, or the title.
            attach: files that it holds and that are too large for the ledger, so that they can be sent again.

        Raises:
            UnknownReferenceError: there is none in this project.

        Example:
            >>> wb.chats.get("How do I return the shoes?").say("And without a receipt?")  # doctest: +SKIP

        """
        with self._wb.database.session() as session:
            row = queries.find(session, self._wb.project_id, _identifier(wanted))
            known = queries.titles(session, self._wb.project_id) if row is None else []
        if row is None:
            raise UnknownReferenceError(
                f"project {self._wb.project!r} has no conversation {str(wanted)!r:.100}",
                cure=did_you_mean(str(wanted), known)
                or (f"the last ones are {', '.join(known[:5])}" if known else "begin one: wb.chat(…)"),
            )
        chat = Chat(
            self._wb,
            self._wb.prompts.by_id(row.prompt_id),
            model=row.options.get("model"),
            options=row.options.get("options", {}),
            variables=row.options.get("variables", {}),
            title=row.title,
            stored=row.id,
        )
        return chat.refresh(attach=read_attachments(attach))

    def _untitled(self, system: str | None) -> PromptVersion:
        """Return the prompt of a conversation without one: a scratch family, as of a cell without a title."""
        return self._wb.prompts.save_body(None, parse_body(f"{{{{ {SLOT} }}}}", system=system))


def _identifier(wanted: uuid.UUID | str) -> uuid.UUID | str:
    if isinstance(wanted, uuid.UUID):
        return wanted
    try:
        return uuid.UUID(wanted)
    except ValueError:
        return wanted
