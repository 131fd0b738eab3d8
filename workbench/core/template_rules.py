"""What a template may contain: Jinja2's parser, an allow-list of its nodes, and the free names.

Jinja2 only parses here. Nothing of a template is ever compiled to Python or called: the renderer
walks the checked tree itself, so there is no sandbox to escape from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.ext import Extension

from workbench.core.template_filters import DEFAULTS, FILTERS, TESTS, arity_error
from workbench.errors import TemplateError, did_you_mean

if TYPE_CHECKING:
    from jinja2.lexer import Token, TokenStream

__all__ = ["MAX_LOOPS", "MAX_TEMPLATE", "MAX_TOKENS", "free_names", "parse_tree", "path_of", "target_names"]

MAX_TEMPLATE: Final = 200_000
MAX_TOKENS: Final = 2_000
MAX_LOOPS: Final = 2
_MAX_DEPTH: Final = 40
_MAX_BITS: Final = 1_000

_IN_PYTHON: Final = "compute it in Python and pass the result as a variable"
_ALLOWED: Final = (
    nodes.And, nodes.Compare, nodes.CondExpr, nodes.Const, nodes.Filter, nodes.For, nodes.Getattr,
    nodes.Getitem, nodes.If, nodes.Keyword, nodes.List, nodes.Name, nodes.Neg, nodes.Not, nodes.Operand,
    nodes.Or, nodes.Output, nodes.Slice, nodes.Template, nodes.TemplateData, nodes.Test, nodes.Tuple,
)  # fmt: skip
_REFUSED: Final[dict[type[nodes.Node], tuple[str, str]]] = {
    nodes.Call: ("a call, name(…), is", _IN_PYTHON),
    nodes.Concat: ("joining with ~ is", "write the parts side by side: {{ a }}{{ b }}"),
    nodes.BinExpr: ("arithmetic is", _IN_PYTHON),
    nodes.UnaryExpr: ("arithmetic is", _IN_PYTHON),
    nodes.Dict: ("a dict is", "pass it as a variable; for literal braces write single ones: { and }"),
    nodes.Assign: ("{% set %} is", _IN_PYTHON),
    nodes.AssignBlock: ("{% set %} is", _IN_PYTHON),
    nodes.With: ("{% with %} is", _IN_PYTHON),
    nodes.Macro: ("{% macro %} is", "write the text out, or save it as a prompt of its own"),
    nodes.CallBlock: ("{% call %} is", "write the text out"),
    nodes.FilterBlock: ("{% filter %} is", "use filters inside {{ }}"),
    nodes.Include: (
        "{% include %} written like this is",
        'write {% include "title@3" %}: a reference in quotes, and nothing else',
    ),
    nodes.Import: ("{% import %} is", "pass the other text as a variable"),
    nodes.FromImport: ("{% from … import %} is", "pass the other text as a variable"),
    nodes.Extends: ("{% extends %} is", "write the text out"),
    nodes.Block: ("{% block %} is", "write the text out"),
    nodes.ScopedEvalContextModifier: ("{% autoescape %} is", "use | escape where it is wanted"),
}


class _Limit(Extension):
    """Stops the parser after ``MAX_TOKENS``, so that a huge template is refused early."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        for count, token in enumerate(stream):
            if count > MAX_TOKENS:
                message = f"the template has more than {MAX_TOKENS:,} marks and names"
                raise TemplateSyntaxError(message, token.lineno)
            yield token


_ENVIRONMENT: Final = Environment(
    comment_start_string="{##",
    comment_end_string="##}",
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701 - a prompt is no HTML, and nothing is rendered by this environment
    extensions=[_Limit],
)


def parse_tree(text: str) -> nodes.Template:
    """Parse and check a template.

    Raises:
        TemplateError: the text is too long, does not parse, or uses what is not allowed.

    """
    if len(text.encode()) > MAX_TEMPLATE:
        raise TemplateError(
            f"the template is longer than {MAX_TEMPLATE:,} bytes",
            cure="pass long texts as variables: {{ text }}",
        )
    try:
        tree = _ENVIRONMENT.parse(text)
    except TemplateSyntaxError as error:
        raise TemplateError(f"line {error.lineno}: {error.message}", cure=_syntax_cure(error)) from error
    except (RecursionError, ValueError) as error:
        raise TemplateError(
            "the template nests too deeply, or holds a number that is too long", cure=_IN_PYTHON
        ) from error
    _check(tree)
    return tree


def _syntax_cure(error: TemplateSyntaxError) -> str:
    message = error.message or ""
    if "marks and names" in message:
        return "write what repeats once, in {% for row in rows %}, and pass a list"
    if "':'" in message or "end of print statement" in message:
        return "braces of JSON are written singly, { and }; {{ }} prints a variable"
    if "Unexpected end of template" in message or "was looking for" in message:
        return "close every {% if %} and {% for %} by {% endif %} and {% endfor %} in the same message"
    if "unknown tag" in message:
        return '{% if %}, {% for %}, {% raw %} and {% include "title" %} are the tags that a template has'
    return "for a literal {{ or {% write {% raw %}{{{% endraw %}"


def _check(tree: nodes.Template) -> None:
    """Walk the tree without recursion: it may be deeper than Python's stack."""
    stack: list[tuple[nodes.Node, int, int]] = [(tree, 0, 0)]
    while stack:
        node, depth, loops = stack.pop()
        if depth > _MAX_DEPTH:
            raise _error(node, f"the expression nests deeper than {_MAX_DEPTH} levels", _IN_PYTHON)
        if not isinstance(node, _ALLOWED):
            raise _refusal(node)
        if isinstance(node, nodes.For):
            loops += 1
        _check_node(node, loops)
        stack.extend((child, depth + 1, loops) for child in node.iter_child_nodes())


def _refusal(node: nodes.Node) -> TemplateError:
    for kind, (what, cure) in _REFUSED.items():
        if isinstance(node, kind):
            return _error(node, f"{what} not allowed in a template", cure)
    return _error(node, f"{type(node).__name__} is not allowed in a template", _IN_PYTHON)


def _error(node: nodes.Node, message: str, cure: str) -> TemplateError:
    return TemplateError(f"line {node.lineno}: {message}", cure=cure)


def _check_node(node: nodes.Node, loops: int) -> None:
    match node:
        case nodes.Name(name=name) if name.startswith("__"):
            raise _error(node, f"the name {name!r} is not allowed", "rename the variable")
        case nodes.Getattr(attr=name) if name.startswith("_"):
            raise _error(node, f"the field {name!r} is not allowed", "rename the field")
        case nodes.Getitem(arg=nodes.Const(value=str(name))) if name.startswith("__"):
            raise _error(node, f"the field {name!r} is not allowed", "rename the field")
        case nodes.Filter():
            _check_filter(node)
        case nodes.Test():
            _check_test(node)
        case nodes.For():
            _check_loop(node, loops)
        case nodes.Const(value=int(value)) if value.bit_length() > _MAX_BITS:
            raise _error(node, "a number is too long", _IN_PYTHON)
        case nodes.Const(value=float(value)) if not math.isfinite(value):
            raise _error(node, "a number is too large", _IN_PYTHON)
        case nodes.Neg(node=inner) if not (isinstance(inner, nodes.Const) and _is_number(inner.value)):
            raise _error(node, "arithmetic is not allowed in a template", _IN_PYTHON)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_filter(node: nodes.Filter) -> None:
    name = node.name
    if name not in FILTERS:
        guess = did_you_mean(name, FILTERS)
        raise _error(node, f"there is no filter {name!r}", guess or f"the filters are: {', '.join(FILTERS)}")
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        raise _error(node, "* and ** are not allowed in a template", "write the arguments out")
    problem = arity_error(name, len(node.args), [str(part.key) for part in node.kwargs])
    if problem:
        raise _error(node, f"the filter {name!r}: {problem}", "see Jinja's documentation of that filter")


def _check_test(node: nodes.Test) -> None:
    if node.name not in TESTS:
        guess = did_you_mean(node.name, TESTS)
        raise _error(node, f"there is no test {node.name!r}", guess or f"the tests are: {', '.join(TESTS)}")
    if node.args or node.kwargs or node.dyn_args is not None or node.dyn_kwargs is not None:
        raise _error(node, f"the test {node.name!r} takes no arguments", "compare with == instead")


def _check_loop(node: nodes.For, loops: int) -> None:
    if loops > MAX_LOOPS:
        raise _error(node, f"loops are nested more than {MAX_LOOPS} deep", _IN_PYTHON)
    if node.recursive:
        raise _error(node, "a recursive loop is not allowed in a template", _IN_PYTHON)
    if isinstance(node.target, nodes.Tuple) and len(target_names(node)) != len(node.target.items):
        raise _error(
            node, "a loop takes one name, or names with commas", "write {% for k, v in doc | items %}"
        )


def target_names(node: nodes.For) -> list[str]:
    """Return the names that a loop gives to each item."""
    parts = node.target.items if isinstance(node.target, nodes.Tuple) else [node.target]
    return [part.name for part in parts if isinstance(part, nodes.Name)]


def path_of(node: nodes.Node) -> str:
    """Return how a look-up reads in the template; empty for anything else.

    >>> path_of(parse_tree("{{ doc.title }}").body[0].nodes[0])
    'doc.title'
    """
    match node:
        case nodes.Name(name=name):
            return name
        case nodes.Getattr(node=inner, attr=attr) if path_of(inner):
            return f"{path_of(inner)}.{attr}"
        case nodes.Getitem(node=inner, arg=nodes.Const(value=value)) if path_of(inner):
            return f"{path_of(inner)}[{value!r}]"
    return ""


def free_names(tree: nodes.Template) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the variables that a template reads, and those of them that must be given.

    A variable may be left out when every use of it stands before ``| default``, or when the
    template asks ``is defined`` (or ``is none``) about it anywhere.

    Returns:
        All names and the required names, each in order of appearance.

    """
    uses = _Uses()
    uses.read(tree, frozenset())
    return tuple(uses.names), tuple(
        name for name, needed in uses.names.items() if needed and name not in uses.asked
    )


class _Uses:
    def __init__(self) -> None:
        self.names: dict[str, bool] = {}
        self.asked: set[str] = set()

    def read(self, node: nodes.Node, bound: frozenset[str]) -> None:
        match node:
            case nodes.Name(name=name):
                if name not in bound:
                    self.names[name] = True
            case nodes.Filter(name=name, node=nodes.Expr() as subject) if name in DEFAULTS:
                self._ask(subject, bound)
                self._all(node.args, bound)
                self._all(node.kwargs, bound)
            case nodes.Test(name="defined" | "undefined" | "none", node=subject):
                self._ask(subject, bound)
                if isinstance(subject, nodes.Name):
                    self.asked.add(subject.name)
            case nodes.CondExpr(test=test, expr1=yes, expr2=no):
                self._all([yes, test, *([no] if no else [])], bound)
            case nodes.For():
                self._loop(node, bound)
            case _:
                self._all(node.iter_child_nodes(), bound)

    def _all(self, children: Iterable[nodes.Node], bound: frozenset[str]) -> None:
        for child in children:
            self.read(child, bound)

    def _ask(self, subject: nodes.Node, bound: frozenset[str]) -> None:
        """Read what may be missing; of ``doc.title`` only the title may be."""
        if isinstance(subject, nodes.Name) and subject.name not in bound:
            self.names.setdefault(subject.name, False)
        else:
            self.read(subject, bound)

    def _loop(self, node: nodes.For, bound: frozenset[str]) -> None:
        self.read(node.iter, bound)
        inner = bound | set(target_names(node))
        if node.test is not None:
            self.read(node.test, inner)
        self._all(node.body, inner | {"loop"})
        self._all(node.else_, bound)
