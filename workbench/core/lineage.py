"""Where prompts came from: families, and the versions that they were forked from, as a tree."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from workbench.core.display import Card, Rich

__all__ = ["Family", "PromptTree", "plant"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """All versions of one prompt.

    Attributes:
        root_id: the first version's row.
        title: its name.
        n_versions: how many versions there are.
        labels: label → the version that it names.
        forked_from: the version of another family that it began as, or None.
        parent_root: that family.
        archived: whether it is hidden from lists.

    """

    root_id: uuid.UUID
    title: str
    n_versions: int
    labels: Mapping[str, int]
    forked_from: int | None = None
    parent_root: uuid.UUID | None = None
    archived: bool = False

    @property
    def line(self) -> str:
        """One line: title, versions, labels."""
        count = f"{self.n_versions} version{'s' * (self.n_versions != 1)}"
        labels = ", ".join(f"{name} {version}" for name, version in sorted(self.labels.items()))
        return " · ".join(filter(None, (self.title, count, labels, "archived" if self.archived else "")))


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptTree(Rich):
    """A family and what was forked from it, and from that, and so on.

    Attributes:
        family: the trunk.
        forks: the trees that began as one of its versions, oldest version first.

    """

    family: Family
    forks: tuple[PromptTree, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield the tree as text, a line each."""
        yield self.family.line
        for index, fork in enumerate(self.forks):
            last = index == len(self.forks) - 1
            first, *rest = fork.lines()
            yield f"{'└── ' if last else '├── '}@{fork.family.forked_from} → {first}"
            yield from (f"{'    ' if last else '│   '}{line}" for line in rest)

    def card(self) -> Card:
        """Return the tree below its trunk."""
        first, *rest = self.lines()
        return Card(title=first, text="\n".join(rest))

    def __str__(self) -> str:
        return "\n".join(self.lines())


def plant(families: Sequence[Family], root_id: uuid.UUID) -> PromptTree:
    """Return the whole tree that a family stands in, from its oldest ancestor on.

    Args:
        families: all of a project's; an ancestor that is not among them ends the way up.
        root_id: the family that is asked about.

    """
    known = {family.root_id: family for family in families}
    trunk = known[root_id]
    while trunk.parent_root in known:
        trunk = known[trunk.parent_root]
    children: dict[uuid.UUID | None, list[Family]] = {}
    for family in families:
        children.setdefault(family.parent_root, []).append(family)
    return _grown(trunk, children)


def _grown(family: Family, children: Mapping[uuid.UUID | None, Sequence[Family]]) -> PromptTree:
    own = sorted(children.get(family.root_id, ()), key=lambda each: (each.forked_from or 0, each.title))
    return PromptTree(family=family, forks=tuple(_grown(each, children) for each in own))
