"""Which versions a prompt is made of: decided when it is saved, read back when it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from workbench.core.composition import MAX_INCLUDES, chain_to
from workbench.core.refs import check_title
from workbench.core.versions import Include, PromptVersion
from workbench.db.queries import prompts as queries
from workbench.errors import CompositionError

if TYPE_CHECKING:
    from workbench.services.workbench import Workbench

__all__ = ["pin", "with_includes"]


def pin(
    workbench: Workbench,
    title: str | None,
    inside: Sequence[str],
    bases: Sequence[str],
    *,
    exact: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Include, ...]:
    """Decide which versions are meant, and refuse those that lead back to the prompt itself.

    Args:
        workbench: for the project's prompts.
        title: the prompt that is about to be saved; None for an untitled one.
        inside: references in the text.
        bases: references that it builds on.
        exact: reference → the version that it meant when the prompt was exported, where that is known.

    Raises:
        UnknownReferenceError: there is no such prompt, version or label.
        CompositionError: the prompt would include itself, or too many others.

    """
    wanted = [("with", ref) for ref in bases] + [("include", ref) for ref in inside]
    if not wanted:
        return ()
    if len(wanted) > MAX_INCLUDES:
        raise CompositionError(
            f"the prompt includes {len(wanted)} others", cure=f"include at most {MAX_INCLUDES}"
        )
    root = None
    if title:
        with workbench.database.session() as session:
            root = queries.family(session, workbench.project_id, check_title(title))
    includes = []
    for kind, ref in wanted:
        version = workbench.prompts.get(exact.get(ref, ref))
        chain = chain_to(root, version)
        if chain:
            raise CompositionError(
                f"the prompt would include itself: {' → '.join([str(title), *chain])}",
                cure="take the shared text into a prompt of its own, and include that from both",
            )
        includes.append(Include(kind=kind, ref=ref, id=version.id, version=version))
    return tuple(includes)


def with_includes(workbench: Workbench, version: PromptVersion) -> PromptVersion:
    """Return a version with what it includes, read."""
    if not version.includes:
        return version
    with workbench.database.session() as session:
        return queries.with_includes(session, version)
