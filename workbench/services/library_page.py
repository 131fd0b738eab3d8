"""The reference page of the prompt library and the model guide, written from the data themselves.

``python -m workbench.services.library_page > docs/reference/library.md``; a test compares the two.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from workbench.core.guides import ModelFamily, in_order
from workbench.core.library import Category, LibraryPrompt
from workbench.db.seed import official_categories, official_families

__all__ = ["page"]

_HEAD = """# The prompt library

{count} templates in {categories} categories ship with the workbench. Each one is complete: a task, marked input, the form of the
answer, and what to answer when there is nothing to answer. Take one, then change it: from there on it is a prompt of yours.

```python
wb.library.list("extraction")  # a DataFrame; also search="invoice json"
wb.library.get("route-ticket")  # text, variables, use cases, models
wb.library.get("route-ticket").render(message="It burns!")  # the messages, with examples for the rest

p = wb.library.use("route-ticket", "support/route")  # a version in this project, tagged library:route-ticket
p(message="I was charged twice.", teams=[{{"name": "payments", "handles": "charges, refunds"}}]).json
```

On the command line: [`workbench library list`, `show`, `use`](cli.md#workbench-library). `use` gives the prompt the template's
settings, such as a temperature; write `settings={{}}` for a model that refuses them. A template that answers with JSON has
the schema of its answer as `wb.library.get(name).answer_schema`.

`wb.library.add("tone@3", "classification")` keeps a version of your own for all your projects; with `public=True` everybody on
this database can use it. `wb.library.remove(name)` takes it out again; prompts made from it stay. Official templates cannot be
changed or imitated: an upgrade refreshes them, and row-level security lets nobody else write them.

[How to write for which model](#how-to-write-for-which-model) stands at the end of this page.
"""

_MODELS = """
## How to write for which model

`wb.models.guide("anthropic/claude-sonnet-4")` and [`workbench models show`](cli.md#workbench-models-show) give this advice for one
model, with its limits and its price; `wb.models.frame()` and `workbench models list` name the family of each. A model belongs to
the first family whose pattern is found in its id. The table is `model_families`; an administrator's own words in
`model_configs.best_practices` and `.settings` win and are kept by upgrades.
"""


def page() -> str:
    """Return the page as Markdown."""
    categories = official_categories()
    count = sum(len(category.templates) for category in categories)
    head = _HEAD.format(count=count, categories=len(categories))
    index = [f"| [{each.title}](#{_anchor(each.title)}) | {_names(each.templates)} |" for each in categories]
    parts = [head, "\n".join(["| category | templates |", "|---|---|", *index, ""])]
    for category in categories:
        parts += _category(category)
    parts.append(_MODELS)
    for family in official_families():
        parts += _family(family)
    return "\n".join(parts)


def _category(category: Category) -> Iterator[str]:
    yield f"## {category.title}\n\n{category.about}\n"
    for template in category.templates:
        yield from _template(template)


def _template(template: LibraryPrompt) -> Iterator[str]:
    yield f"### {template.name}\n\n{template.description} For:\n"
    yield "\n".join([*(f"- {use}" for use in template.use_cases), ""])
    rows = (
        f"| `{name}` | {type_} | {needed} | {meaning} |"
        for name, type_, needed, meaning, _ in _rows(template)
    )
    yield "\n".join(["| variable | type | needed | meaning |", "|---|---|---|---|", *rows, ""])
    settings = ", ".join(f"`{name}: {value}`" for name, value in template.settings.items())
    facts = [
        f"Suits {', '.join(template.models)}.",
        f"Settings: {settings}." if settings else "",
        f"Tags: {', '.join(template.tags)}.",
    ]
    yield " ".join(filter(None, facts)) + "\n"
    yield f"```text\n{template.content}\n```\n"


def _family(family: ModelFamily) -> Iterator[str]:
    yield f"### {family.title}\n"
    settings = ", ".join(f"`{name}: {value}`" for name, value in family.settings.items())
    yield f"Family `{family.name}`. Begin with {settings or 'the defaults of the provider'}.\n"
    if family.pattern:
        yield f"Ids that match:\n\n```text\n{family.pattern}\n```\n"
    yield "\n".join(
        [*(f"- **{topic}**: {text}" for topic, text in in_order(family.best_practices).items()), ""]
    )


def _rows(template: LibraryPrompt) -> list[list[str]]:
    return [[cell.replace("|", "\\|") for cell in row] for row in template.variable_rows()]


def _names(templates: Sequence[LibraryPrompt]) -> str:
    return ", ".join(f"[{each.name}](#{each.name})" for each in templates)


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


if __name__ == "__main__":
    sys.stdout.write(page())
