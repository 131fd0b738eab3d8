"""The verbs of ``wb`` that talk: answers piece by piece, and conversations."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from workbench.services.schemas import with_schema

if TYPE_CHECKING:
    from workbench.core.versions import PromptVersion
    from workbench.services.asking import Asking, Question
    from workbench.services.chats import Chat, Chats
    from workbench.services.prompts import Prompts
    from workbench.services.streaming import AnswerStream
    from workbench.services.workbench import Workbench

__all__ = ["Talks"]


class Talks:
    """Streams and conversations, for the workbench."""

    prompts: Prompts
    _asking: Asking

    @property
    def asking(self) -> Asking:
        """Single calls, as the parts of the workbench make them."""
        return self._asking

    def stream(
        self,
        prompt: str | PromptVersion,
        *,
        variables: Mapping[str, Any],
        model: str | None = None,
        options: Mapping[str, Any] | None = None,
        schema: Any = None,
        attach: Any = (),
    ) -> AnswerStream:
        """Answer one call piece by piece; nothing is sent before the first piece is asked for.

        Read to its end, the stream has the committed ``result``; left early, the call is stored as ``unknown``.

        Example:
            >>> for piece in wb.stream("tone", variables={"text": "Lovely."}):  # doctest: +SKIP
            ...     print(piece, end="")

        """
        asked = with_schema(options, schema)

        def make() -> Question:
            version = self.prompts.resolve(prompt)
            return self.asking.question(version, variables, model=model, options=asked, attach=attach)

        return self.asking.stream(make)

    def astream(
        self,
        prompt: str | PromptVersion,
        *,
        variables: Mapping[str, Any],
        model: str | None = None,
        options: Mapping[str, Any] | None = None,
        schema: Any = None,
        attach: Any = (),
    ) -> AnswerStream:
        """Answer one call piece by piece, on the caller's loop: ``async for piece in wb.astream(…)``."""
        return self.stream(
            prompt, variables=variables, model=model, options=options, schema=schema, attach=attach
        )

    def chat(
        self,
        prompt: str | PromptVersion | None = None,
        *,
        system: str | None = None,
        model: str | None = None,
        options: Mapping[str, Any] | None = None,
        variables: Mapping[str, Any] | None = None,
        title: str = "",
    ) -> Chat:
        """Begin a conversation; nothing is stored or sent before the first ``say``.

        Args:
            prompt: a reference or version: its turns come first. The first message fills the one variable that
                ``variables`` leaves open, or stands below the prompt's own text.
            system: the system text, in the place of a saved prompt.
            model: who answers; by default the prompt's, or the default model.
            options: sampling options and ``tools`` for every turn.
            variables: values of the prompt's variables.
            title: to find it by; by default the beginning of the first message.

        Example:
            >>> chat = wb.chat(system="You are terse.")  # doctest: +SKIP
            >>> chat.say("hello").text  # doctest: +SKIP

        """
        return self.chats.begin(
            prompt, system=system, model=model, options=options, variables=variables, title=title
        )

    @cached_property
    def chats(self) -> Chats:
        """Conversations that were begun before."""
        from workbench.services.chats import Chats

        return Chats(cast("Workbench", self))
