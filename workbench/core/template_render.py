"""Rendering: a walk over a checked tree, on JSON values, with everything counted.

Jinja's own runtime is not used: it calls, it compiles, and its sandbox has no bound on time or
memory. Here a look-up is an item look-up, each node costs a step, and the text is measured while
it grows.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from jinja2 import nodes

from workbench.core.template_filters import DEFAULTS, FILTERS, TESTS, Meter, kind, text_of
from workbench.core.template_rules import path_of, target_names
from workbench.errors import UndefinedVariableError, did_you_mean

__all__ = ["available", "render_tree"]

_MAX_SHOWN: Final = 12
_STEPS_PER_ROUND: Final = 3
_NAMES_PER_STEP: Final = 10
_ORDERINGS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "lt": operator.lt, "lteq": operator.le, "gt": operator.gt, "gteq": operator.ge,
}  # fmt: skip


def render_tree(tree: nodes.Template, values: Mapping[str, Any]) -> str:
    """Render a tree that ``parse_tree`` has checked.

    Args:
        tree: the checked tree.
        values: JSON values by name.

    Raises:
        UndefinedVariableError: something printed is missing, None or NaN.
        TemplateError: values of a wrong kind, too many steps, or too long a text.

    """
    renderer = _Renderer()
    renderer.body(tree.body, values)
    return "".join(renderer.parts)


@dataclass(frozen=True, slots=True)
class _Absent:
    """The result of a look-up that found nothing: an error as soon as it is used."""

    message: str
    cure: str


class _Renderer:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self.meter = Meter()

    # Statements

    def body(self, statements: Sequence[nodes.Node], scope: Mapping[str, Any]) -> None:
        for node in statements:
            self.meter.line = node.lineno
            self.meter.step()
            if isinstance(node, nodes.Output):
                for child in node.nodes:
                    self._print(child, scope)
            elif isinstance(node, nodes.If):
                self._if(node, scope)
            elif isinstance(node, nodes.For):
                self._for(node, scope)

    def _print(self, node: nodes.Node, scope: Mapping[str, Any]) -> None:
        text = (
            node.data
            if isinstance(node, nodes.TemplateData)
            else text_of(self.meter, self._need(node, scope))
        )
        self.meter.emit(text)
        self.parts.append(text)

    def _if(self, node: nodes.If, scope: Mapping[str, Any]) -> None:
        for branch in (node, *node.elif_):
            if self._truth(branch.test, scope):
                self.body(branch.body, scope)
                return
        self.body(node.else_, scope)

    def _for(self, node: nodes.For, scope: Mapping[str, Any]) -> None:
        items = self._rounds(node, scope)
        for index, item in enumerate(items):
            self.meter.line = node.lineno
            self.body(node.body, {**self._inner(node, item, scope), "loop": _loop_state(index, len(items))})
        if not items:
            self.body(node.else_, scope)

    def _rounds(self, node: nodes.For, scope: Mapping[str, Any]) -> list[Any]:
        """Return the items of a loop that pass its ``if``."""
        items = self._need(node.iter, scope)
        self.meter.line = node.lineno
        if not isinstance(items, list | dict):
            raise self.meter.error(
                f"a loop needs a list, but {path_of(node.iter) or 'the value'} is {kind(items)}",
                cure="pass a list, such as text.splitlines() or [text]",
            )
        if node.test is None:
            return list(items)
        return [item for item in items if self._truth(node.test, self._inner(node, item, scope))]

    def _inner(self, node: nodes.For, item: Any, scope: Mapping[str, Any]) -> dict[str, Any]:
        """Return the names that one round of a loop sees."""
        self.meter.step(_STEPS_PER_ROUND + len(scope) // _NAMES_PER_STEP)
        return {**scope, **self._unpack(node, item)}

    def _unpack(self, node: nodes.For, item: Any) -> dict[str, Any]:
        names = target_names(node)
        if isinstance(node.target, nodes.Name):
            return {names[0]: item}
        if not isinstance(item, list) or len(item) != len(names):
            raise self.meter.error(
                f"an item of the loop does not have {len(names)} parts for {', '.join(names)}",
                cure="loop over a dict by {% for name, value in doc | items %}",
            )
        return dict(zip(names, item, strict=True))

    # Expressions

    def _eval(self, node: nodes.Node, scope: Mapping[str, Any]) -> Any:
        self.meter.step()
        return self._evaluators[type(node)](self, node, scope)

    def _need(self, node: nodes.Node, scope: Mapping[str, Any]) -> Any:
        """Evaluate what must be there."""
        value = self._eval(node, scope)
        if value is None:
            path = path_of(node)
            value = _Absent(
                f"{path or 'the value'} is None or NaN",
                f"write {{{{ {path or '…'} | default('…') }}}} if it may be missing",
            )
        return self._present(value, node)

    def _present(self, value: Any, node: nodes.Node) -> Any:
        if isinstance(value, _Absent):
            raise UndefinedVariableError(f"line {node.lineno}: {value.message}", cure=value.cure)
        return value

    def _truth(self, node: nodes.Node, scope: Mapping[str, Any]) -> bool:
        """Return whether a value counts as true; None and NaN do not."""
        return bool(self._present(self._eval(node, scope), node))

    def _name(self, node: nodes.Name, scope: Mapping[str, Any]) -> Any:
        if node.name in scope:
            return scope[node.name]
        return _Absent(f"the variable {node.name!r} is not given", _choices(node.name, scope))

    def _const(self, node: nodes.Const, _scope: Mapping[str, Any]) -> Any:
        return node.value

    def _getattr(self, node: nodes.Getattr, scope: Mapping[str, Any]) -> Any:
        return self._item(node, node.attr, scope)

    def _getitem(self, node: nodes.Getitem, scope: Mapping[str, Any]) -> Any:
        if isinstance(node.arg, nodes.Slice):
            return self._slice(node, node.arg, scope)
        return self._item(node, self._need(node.arg, scope), scope)

    def _item(self, node: nodes.Getattr | nodes.Getitem, key: Any, scope: Mapping[str, Any]) -> Any:
        value = self._eval(node.node, scope)
        if isinstance(value, _Absent):
            return value
        path = path_of(node.node) or "the value"
        if isinstance(value, dict):
            name = key if isinstance(key, str) else str(key)
            return (
                value[name]
                if name in value
                else _Absent(f"{path} has no field {name!r:.60}", _choices(name, value))
            )
        if isinstance(value, list | str) and isinstance(key, int) and not isinstance(key, bool):
            return value[key] if -len(value) <= key < len(value) else _Absent(f"{path} has no item {key}", "")
        return _Absent(
            f"{path} is {kind(value)}: it has no field {key!r:.60}", "pass a dict, or use the value itself"
        )

    def _slice(self, node: nodes.Getitem, part: nodes.Slice, scope: Mapping[str, Any]) -> Any:
        value = self._eval(node.node, scope)
        if isinstance(value, _Absent):
            return value
        bounds = [
            None if end is None else self._need(end, scope) for end in (part.start, part.stop, part.step)
        ]
        if any(isinstance(end, bool) or not isinstance(end, int | None) for end in bounds) or bounds[2] == 0:
            raise self.meter.error("the bounds of [a:b] must be whole numbers")
        if not isinstance(value, list | str):
            raise self.meter.error(
                f"{path_of(node.node) or 'the value'} is {kind(value)}: [a:b] takes a list or text"
            )
        found = value[slice(*bounds)]
        self.meter.weigh(found)
        return found

    def _filter(self, node: nodes.Filter, scope: Mapping[str, Any]) -> Any:
        if node.node is None:
            raise self.meter.error("a filter needs a value")
        if node.name in DEFAULTS:
            value = self._eval(node.node, scope)
            value = None if isinstance(value, _Absent) else value
        else:
            value = self._need(node.node, scope)
        args = [self._present(self._eval(arg, scope), arg) for arg in node.args]
        named = {
            str(part.key): self._present(self._eval(part.value, scope), part.value) for part in node.kwargs
        }
        self.meter.line = node.lineno
        return FILTERS[node.name](self.meter, value, *args, **named)

    def _test(self, node: nodes.Test, scope: Mapping[str, Any]) -> bool:
        value = self._eval(node.node, scope)
        if isinstance(value, _Absent) and node.name not in {"defined", "undefined", "none"}:
            self._present(value, node)
        return TESTS[node.name](None if isinstance(value, _Absent) else value)

    def _compare(self, node: nodes.Compare, scope: Mapping[str, Any]) -> bool:
        left = self._present(self._eval(node.expr, scope), node.expr)
        for operand in node.ops:
            right = self._present(self._eval(operand.expr, scope), operand.expr)
            self.meter.line = node.lineno
            if not self._holds(operand.op, left, right):
                return False
            left = right
        return True

    def _holds(self, op: str, left: Any, right: Any) -> bool:
        self.meter.weigh(left)
        self.meter.weigh(right)
        try:
            if op in {"in", "notin"}:
                return (left in right) is (op == "in")
            if op in {"eq", "ne"}:
                return (left == right) is (op == "eq")
            return _ORDERINGS[op](left, right)
        except TypeError as error:
            raise self.meter.error(
                f"{kind(left)} cannot be compared with {kind(right)}",
                cure="convert it: {{ x | int }}, {{ x | string }}",
            ) from error

    def _and(self, node: nodes.And, scope: Mapping[str, Any]) -> Any:
        left = self._present(self._eval(node.left, scope), node.left)
        return self._eval(node.right, scope) if left else left

    def _or(self, node: nodes.Or, scope: Mapping[str, Any]) -> Any:
        left = self._present(self._eval(node.left, scope), node.left)
        return left or self._eval(node.right, scope)

    def _not(self, node: nodes.Not, scope: Mapping[str, Any]) -> bool:
        return not self._truth(node.node, scope)

    def _neg(self, node: nodes.Neg, scope: Mapping[str, Any]) -> Any:
        return -self._eval(node.node, scope)

    def _condexpr(self, node: nodes.CondExpr, scope: Mapping[str, Any]) -> Any:
        if self._truth(node.test, scope):
            return self._eval(node.expr1, scope)
        if node.expr2 is None:
            return _Absent("an inline if without else was false", "write {{ a if test else '' }}")
        return self._eval(node.expr2, scope)

    def _list(self, node: nodes.List | nodes.Tuple, scope: Mapping[str, Any]) -> list[Any]:
        return [self._present(self._eval(item, scope), item) for item in node.items]

    _evaluators: ClassVar[Mapping[type[nodes.Node], Callable[..., Any]]] = {
        nodes.And: _and,
        nodes.Compare: _compare,
        nodes.CondExpr: _condexpr,
        nodes.Const: _const,
        nodes.Filter: _filter,
        nodes.Getattr: _getattr,
        nodes.Getitem: _getitem,
        nodes.List: _list,
        nodes.Name: _name,
        nodes.Neg: _neg,
        nodes.Not: _not,
        nodes.Or: _or,
        nodes.Test: _test,
        nodes.Tuple: _list,
    }


def _loop_state(index: int, length: int) -> dict[str, Any]:
    return {
        "index": index + 1,
        "index0": index,
        "first": index == 0,
        "last": index == length - 1,
        "length": length,
        "revindex": length - index,
        "revindex0": length - index - 1,
    }


def _choices(name: str, known: Collection[str]) -> str:
    guess = did_you_mean(name, known)
    return guess or available(known)


def available(known: Collection[str]) -> str:
    """List names for a message, the private ones left out and a long list cut."""
    names = [name for name in known if not name.startswith("_")]
    if not names:
        return "none are there"
    more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
    return f"there are: {', '.join(names[:_MAX_SHOWN])}{more}"
