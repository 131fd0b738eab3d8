"""A prompt version and what it answers: the two values that a person holds most of the time."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from workbench.core.callers import Caller, TextStream
from workbench.core.declarations import signature
from workbench.core.display import Rich
from workbench.core.replies import ToolCall
from workbench.errors import CompositionError, ConfigError, UndefinedVariableError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Include",
    "PromptResult",
    "PromptVersion",
    "content_hash",
    "format_cost",
    "parse_json",
    "strip_fence",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Include:
    """A prompt that another one is made of, pinned to one version when that one was saved.

    Attributes:
        kind: ``include`` inside the text, ``with`` for a prompt that it builds on.
        ref: the reference as it was written, such as ``style@prod``.
        id: the row of the version that it meant.
        version: that version, or None while it has not been read.

    """

    kind: str
    ref: str
    id: uuid.UUID
    version: PromptVersion | None = None

    @property
    def pinned(self) -> PromptVersion:
        """The version, once it has been read."""
        if self.version is None:
            raise CompositionError(
                f"the included prompt {self.ref!r} cannot be read",
                cure="ask its owner, or save the prompt anew",
            )
        return self.version

    def record(self) -> dict[str, str]:
        """Return what is stored."""
        return {"kind": self.kind, "ref": self.ref, "id": str(self.id)}


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptVersion(Rich):
    """One immutable text with its variables and settings.

    A saved prompt is a function: ``p(text="…")`` answers one call, ``p.map(df)`` a whole table.

    Attributes:
        id: the version's row.
        root_id: the family's first row.
        title: the family's name.
        version: 1, 2, 3 … within the family.
        content: the text, role lines included; never rendered.
        system_prompt: the system text, or None.
        variables: names that the text needs, with type and default where declared.
        settings: model and options that belong to the content.
        includes: the exact versions of other prompts that it is made of.
        content_hash: SHA-256 of what makes the version.
        archived: whether the family is hidden from lists.
        delta: how the text differs from the version that it came from, such as ``+2/-1 lines``.
        change: what saving did: ``new``, ``same`` or empty for a version that was only read.

    """

    id: uuid.UUID
    root_id: uuid.UUID
    project_id: uuid.UUID
    title: str
    version: int
    content: str
    system_prompt: str | None = None
    variables: Sequence[Mapping[str, Any]] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    note: str = ""
    created_at: dt.datetime | None = None
    includes: tuple[Include, ...] = ()
    content_hash: str = ""
    parent_id: uuid.UUID | None = None
    archived: bool = False
    delta: str = ""
    change: str = ""
    caller: Caller | None = field(default=None, repr=False, compare=False)

    @property
    def ref(self) -> str:
        """The reference of exactly this version, such as ``tone@3``; of one that is not saved yet, its title."""
        return f"{self.title}@{self.version}" if self.version else self.title

    @property
    def news(self) -> str:
        """What saving changed, for the grey line: ``new, +2/-1 lines``; empty where nothing is new."""
        return ", ".join(filter(None, ("new", self.delta))) if self.change == "new" else ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the variables, in order of appearance."""
        return tuple(str(variable["name"]) for variable in self.variables)

    def __call__(
        self, /, *, model: str | None = None, schema: Any = None, attach: Any = (), **variables: Any
    ) -> PromptResult:
        """Answer one call: ``p(text="…")``; with ``schema=Model`` the answer is checked, and ``result.parsed`` is one.

        ``attach="photo.png"`` sends a picture or a PDF along: a path, bytes, an https address, or a list of them.
        Where the text itself reads a variable called ``schema`` or ``attach``, that is what the keyword gives. One
        called ``model`` is given by ``wb.ask(p, variables={"model": …})``.

        Raises:
            InputError: a variable is given that the prompt does not read.

        """
        return self._bound().ask(self, **self._asked(model, schema, attach, variables))

    async def acall(
        self, /, *, model: str | None = None, schema: Any = None, attach: Any = (), **variables: Any
    ) -> PromptResult:
        """Answer one call, awaited."""
        return await self._bound().aask(self, **self._asked(model, schema, attach, variables))

    def stream(
        self, /, *, model: str | None = None, schema: Any = None, attach: Any = (), **variables: Any
    ) -> TextStream:
        """Answer one call piece by piece; afterwards the stream has its ``result``.

        Example:
            >>> for piece in p.stream(text="…"):  # doctest: +SKIP
            ...     print(piece, end="")

        """
        return self._bound().stream(self, **self._asked(model, schema, attach, variables))

    def astream(
        self, /, *, model: str | None = None, schema: Any = None, attach: Any = (), **variables: Any
    ) -> TextStream:
        """Answer one call piece by piece: ``async for piece in p.astream(text="…")``."""
        return self._bound().astream(self, **self._asked(model, schema, attach, variables))

    def map(self, data: pd.DataFrame | str, *, model: str | None = None, **options: Any) -> Any:
        """Answer every row of a DataFrame or dataset; the same as ``wb.run(self, data=data)``."""
        return self._bound().run(self, data=data, model=model, **options)

    def _asked(
        self, model: str | None, schema: Any, attach: Any, variables: dict[str, Any]
    ) -> dict[str, Any]:
        """Return what the workbench is asked; a keyword that the text reads as a variable is one."""
        if any(each["name"] == "model" and each.get("required") for each in self.variables):
            raise UndefinedVariableError(
                f"{self.ref} reads a variable 'model', and model= of a call names the model to ask",
                cure="wb.ask(p, variables={'model': …, …}), or rename the variable",
            )
        values, rest = dict(variables), {"schema": None, "attach": ()}
        for name, value in {"schema": schema, "attach": attach}.items():
            if name in self.names and value is not rest[name]:
                values[name] = value
            else:
                rest[name] = value
        return {"variables": values, "model": model, **rest}

    def _bound(self) -> Caller:
        if self.caller is None:
            raise ConfigError(
                f"{self.ref} is not connected to a workbench",
                cure=f"get it with wb.prompts.get({self.ref!r})",
            )
        return self.caller

    def __str__(self) -> str:
        head = f"{self.ref} ({', '.join(map(signature, self.variables)) or 'no variables'})"
        system = f"system:\n{self.system_prompt}\n" if self.system_prompt else ""
        return f"{head}\n{system}{self.content}"


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptResult(Rich):
    """The answer of one call; ``str(result)`` is the answer's text.

    Attributes:
        text: the answer.
        execution_id: its row in the ledger.
        prompt: the version's reference.
        model: the full model id.
        cost: USD, or None when nobody knows it.
        latency_ms: from the request to the end of the answer.
        format: how it is shown: ``text``, ``markdown``, ``json``, ``html`` or ``code``.
        parsed: what the schema made of the answer: an instance of the class that was given, else the JSON value;
            None without a schema.
        choices: the texts of all choices, where ``n`` asked for several; the first is ``text``.
        tool_calls: what the model asks to be called; an answer of nothing else has an empty text.
        logprobs: the tokens with their log probabilities, where they were asked for.
        tokens_cached: of the prompt's tokens those that the provider had in its cache.
        tokens_reasoning: of the answer's tokens those that the model thought with.
        attached: what was sent along, such as ``photo.png (image/png, 34 kB)``.

    """

    text: str
    execution_id: uuid.UUID
    prompt: str
    model: str
    change: str = ""
    finish_reason: str | None = None
    tokens_prompt: int | None = None
    tokens_completion: int | None = None
    cost: Decimal | None = None
    cost_source: str | None = None
    latency_ms: int = 0
    ttft_ms: int | None = None
    format: str = "text"
    parsed: Any = None
    choices: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: Sequence[Any] | None = field(default=None, repr=False)
    tokens_cached: int | None = None
    tokens_reasoning: int | None = None
    attached: tuple[str, ...] = ()

    @property
    def json(self) -> Any:
        """The answer as JSON, a code fence around it removed; with a schema it has been checked against it.

        Raises:
            ValueError: the answer is not JSON.

        """
        return parse_json(self.text)

    @property
    def status_line(self) -> str:
        """One line: version, model, what was attached, tokens, cost, time."""
        tokens = sum(filter(None, (self.tokens_prompt, self.tokens_completion)))
        told = {"cached": self.tokens_cached, "reasoning": self.tokens_reasoning}
        of_them = ", ".join(f"{count:,} {what}" for what, count in told.items() if count)
        parts = [
            f"{self.prompt}{f' ({self.change})' if self.change else ''}",
            self.model,
            ", ".join(self.attached),
            (f"{tokens:,} tok" if tokens else "tokens unknown") + (f" ({of_them})" if of_them else ""),
            f"1 of {len(self.choices)} choices" if len(self.choices) > 1 else "",
            format_cost(self.cost, self.cost_source),
            f"{self.latency_ms / 1000:.1f} s",
        ]
        return " · ".join(part for part in parts if part)

    def __str__(self) -> str:
        return self.text


def parse_json(text: str) -> Any:
    r"""Read JSON from an answer, a Markdown code fence around it removed.

    >>> parse_json('```json\n{"a": 1}\n```')
    {'a': 1}
    """
    return json.loads(strip_fence(text))


def strip_fence(text: str) -> str:
    r"""Return an answer without white space and a Markdown code fence around it.

    >>> strip_fence('```json\n{"a": 1}\n```')
    '{"a": 1}'
    """
    body = text.strip()
    if body.startswith("```") and body.endswith("```") and "\n" in body:
        body = body.split("\n", 1)[1].rsplit("```", 1)[0].strip()
    return body


def content_hash(
    content: str,
    system: str | None,
    variables: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    includes: Sequence[Include] = (),
) -> str:
    """Return the SHA-256 of what makes a version: body, system, variables, settings, includes; not tags or note.

    An included version counts by its own content, so that the same text on a moved label is another version.
    """
    parts: list[Any] = [content, system, list(variables), dict(settings)]
    if includes:
        parts.append([[each.kind, each.ref, each.pinned.content_hash] for each in includes])
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def format_cost(cost: Decimal | None, source: str | None = None) -> str:
    """Return a cost for people: four significant figures are enough, and unknown is said.

    >>> format_cost(Decimal("0.000312"))
    '$0.000312'
    """
    if source == "cache":
        return "$0 (cache)"
    if cost is None:
        return "cost unknown"
    if cost == 0:
        return "$0"
    return (
        f"${cost:,.2f}"
        if cost >= 1
        else f"${cost:.3g}"
        if cost >= Decimal("0.0001")
        else f"${float(cost):.2e}"
    )
