"""Templates: text with ``{{ variables }}``, parsed once, rendered strictly and within bounds.

The language is a part of Jinja's: ``{{ }}``, ``{% if %}``, ``{% for %}`` (two deep), ``{% raw %}``,
filters, tests and comparisons; comments are ``{## … ##}``. There are no calls, no arithmetic and no
assignments: what needs computing is computed in Python. Values pass through JSON and are never
parsed again, so nothing inside a value can act.

The parts: ``template_rules`` says what is allowed, ``template_filters`` holds filters and bounds,
``template_render`` walks the tree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from workbench.core.template_render import available, render_tree
from workbench.core.template_rules import free_names, parse_tree
from workbench.core.values import plain, storable
from workbench.errors import DataError, TemplateError, UndefinedVariableError, did_you_mean

if TYPE_CHECKING:
    from jinja2 import nodes

__all__ = ["Template", "missing_error"]


@dataclass(frozen=True, slots=True)
class Template:
    """A template that has been parsed and found harmless.

    Attributes:
        text: the source.
        variables: the names that it reads, in order of appearance.
        required: those of them that must be given: used somewhere without ``| default(…)``, and
            never asked about by ``is defined`` or ``is none``.

    >>> Template.parse("Tone of: {{ text | truncate(2000) }}").render({"text": "I am glad."})
    'Tone of: I am glad.'

    """

    text: str
    variables: tuple[str, ...] = field(compare=False)
    required: tuple[str, ...] = field(compare=False)
    _tree: nodes.Template = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Template:
        """Parse a template; the same text is parsed once.

        Raises:
            TemplateError: it does not parse, or uses what is not allowed; the message has the line.

        """
        return _parse(text)

    def render(self, values: Mapping[str, Any]) -> str:
        """Return the text with the values filled in.

        Args:
            values: any names, such as a row or a notebook's namespace; only those that the template
                reads are looked at.

        Raises:
            UndefinedVariableError: a variable or field is not given, or is None or NaN, and has no
                ``| default(…)``.
            TemplateError: a value is no JSON value, or the text grows beyond 1 MB or 100,000 steps.

        """
        missing = [name for name in self.required if name not in values]
        if missing:
            raise missing_error(missing, values)
        return render_tree(self._tree, self._plain(values))

    def _plain(self, values: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return {
                name: plain(values[name], what=f"the variable {name!r}")
                for name in self.variables
                if name in values
            }
        except DataError as error:
            raise TemplateError(error.message, cure=error.cure) from error


@lru_cache(maxsize=256)
def _parse(text: str) -> Template:
    try:
        storable(text, what="the template")
    except DataError as error:
        raise TemplateError(error.message, cure=error.cure) from error
    tree = parse_tree(text)
    variables, required = free_names(tree)
    return Template(text, variables, required, tree)


def missing_error(
    missing: Sequence[str], values: Mapping[Any, Any], *, give: str = ""
) -> UndefinedVariableError:
    """Return the error for variables that are not given, with the names that are.

    Args:
        missing: the names.
        values: what was given.
        give: how a value is given there, ``{}`` for its name: ``"-p {}=…"``; empty where it comes from a row.

    """
    names = ", ".join(map(repr, missing))
    verb = "variable {} is" if len(missing) == 1 else "variables {} are"
    known = [name for name in values if isinstance(name, str)]  # a frame's columns may be numbers
    guesses = [guess for guess in (did_you_mean(name, known) for name in missing) if guess]
    way = [f"give it with {give.format(missing[0])}"] if give else []
    return UndefinedVariableError(
        f"the {verb.format(names)} not given",
        cure=f"{'; '.join([*guesses, available(known), *way])}; or write {{{{ {missing[0]} | default('…') }}}}",
    )
