"""Prompts made of prompts: ``{% include "style@prod" %}`` inside a text, and prompts that a prompt builds on.

Which versions are meant is decided once, when the prompt is saved; the saved version holds exactly those.
Included text is filled in before the template is parsed, so its variables, rules and bounds are those of
the whole. Roles are split earlier: an included text cannot open one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from workbench.core.body import PromptBody, TemplateMessage, parse_body
from workbench.core.template_rules import MAX_TEMPLATE
from workbench.core.versions import Include, PromptVersion
from workbench.errors import CompositionError, TemplateError

__all__ = ["MAX_DEPTH", "MAX_INCLUDES", "body_of", "chain_to", "compose", "include_refs"]

#: So deep may includes include others,
MAX_DEPTH: Final = 8
#: and so many may one prompt have.
MAX_INCLUDES: Final = 50

_MARK: Final = re.compile(
    r"""(?P<other>\{\#\#.*?\#\#\}|\{%[-+]?\s*raw\s*[-+]?%\}.*?\{%[-+]?\s*endraw\s*[-+]?%\}|\{\{.*?\}\})
    |(?:\s*\{%-|\{%\+?)\s*include\s+(?P<quote>["'])(?P<ref>[^"'\n]+)(?P=quote)\s*(?:-%\}\s*|\+?%\})""",
    re.DOTALL | re.VERBOSE,
)


def include_refs(body: PromptBody) -> tuple[str, ...]:
    """Return the references that a body includes, in order of appearance, each once.

    >>> include_refs(parse_body('{% include "style@prod" %} Tone of {{ text }}:'))
    ('style@prod',)
    """
    texts = [body.system or "", *(message.text for message in body.messages)]
    return tuple(
        dict.fromkeys(match["ref"] for text in texts for match in _MARK.finditer(text) if match["ref"])
    )


def compose(body: PromptBody, includes: Sequence[Include]) -> PromptBody:
    """Return a body with everything that it includes filled in, and the prompts that it builds on before it.

    Args:
        body: as it was written.
        includes: the pinned versions, each with its own.

    Raises:
        CompositionError: an included prompt is no single text, or the whole grows too long.

    """
    if not includes:
        return body
    texts = {each.ref: _single_text(each) for each in includes if each.kind == "include"}
    filled = body.with_turns(
        None if body.system is None else _expand(body.system, texts),
        [replace(message, text=_expand(message.text, texts)) for message in body.messages],
    )
    for each in reversed([each for each in includes if each.kind == "with"]):
        filled = _on_top(body_of(each.pinned), filled)
    return filled


def body_of(version: PromptVersion) -> PromptBody:
    """Return the whole body of a version, ready to be rendered."""
    return compose(parse_body(version.content, system=version.system_prompt), version.includes)


def chain_to(root: object, version: PromptVersion, *, depth: int = 0) -> tuple[str, ...]:
    """Return how a version leads to a family through its includes, as references; empty where it does not.

    Raises:
        CompositionError: includes are nested too deeply.

    """
    if depth > MAX_DEPTH:
        raise CompositionError(
            f"{version.ref} lies more than {MAX_DEPTH} includes deep", cure="include fewer levels of prompts"
        )
    if version.root_id == root:
        return (version.ref,)
    for each in version.includes:
        rest = chain_to(root, each.pinned, depth=depth + 1)
        if rest:
            return (version.ref, *rest)
    return ()


def _single_text(include: Include) -> str:
    body = body_of(include.pinned)
    if body.system is not None or len(body.messages) != 1 or body.messages[0].role != "user":
        raise CompositionError(
            f"{include.pinned.ref} has a system prompt or several turns, so it cannot stand inside a text",
            cure=f"build on it: %%prompt … -w {include.ref}, or builds_on=[{include.ref!r}]",
        )
    return body.messages[0].text


def _expand(text: str, texts: Mapping[str, str]) -> str:
    grown = len(text)

    def fill(match: re.Match[str]) -> str:
        nonlocal grown
        if match["ref"] is None:
            return match[0]
        found = texts.get(match["ref"])
        if found is None:
            raise CompositionError(
                f"the prompt includes {match['ref']!r}, which was not recorded when it was saved",
                cure="save it again",
            )
        grown += len(found)
        if grown > MAX_TEMPLATE:
            raise TemplateError(
                f"with what it includes, the prompt is longer than {MAX_TEMPLATE:,} characters",
                cure="pass long texts as variables: {{ text }}",
            )
        return found

    return _MARK.sub(fill, text)


def _on_top(base: PromptBody, own: PromptBody) -> PromptBody:
    """Put a body on top of the one that it builds on: one system prompt, and the turns one after the other."""
    system = "\n\n".join(text for text in (base.system, own.system) if text) or None
    first, *rest = own.messages
    *before, last = base.messages
    if last.role == first.role:
        joined = [TemplateMessage(last.role, f"{last.text}\n\n{first.text}")]
    else:
        joined = [last, first]
    return own.with_turns(system, [*before, *joined, *rest])
