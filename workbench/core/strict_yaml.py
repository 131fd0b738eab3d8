"""YAML that comes from anybody: plain values only, so that nothing can swell or act."""

from __future__ import annotations

import re
from typing import ClassVar, Final

import yaml

__all__ = ["StrictLoader", "WideLoader"]

_NUMBER: Final = "-+0123456789."


class StrictLoader(yaml.SafeLoader):
    """YAML without tags, anchors and aliases, and not deep.

    Attributes:
        max_depth: how many levels values may be nested.

    """

    max_depth: ClassVar[int] = 16
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse what could swell before it is built."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if any(getattr(event, name, None) is not None for name in ("anchor", "tag")):
            problem = "anchors (&), aliases (*) and tags (!) are not allowed"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        if self._depth > self.max_depth:
            problem = f"values are nested deeper than {self.max_depth} levels"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class WideLoader(StrictLoader):
    """The same for other tools' files: deeper, and with YAML 1.2's scalars, where ``yes`` and ``12:30`` are text."""

    max_depth: ClassVar[int] = 32


# Its own scalars, in place of those that every loader shares.
WideLoader.yaml_implicit_resolvers = {}

for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+", _NUMBER),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+", _NUMBER),
    ("null", r"~|null|Null|NULL|", "~nN"),
):
    WideLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(rf"^(?:{_pattern})$"),
        [*_first, *([""] if _tag == "null" else [])],
    )
