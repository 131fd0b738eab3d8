"""The reference page of the magics, written from their own tables.

``python -m workbench.magics.reference > docs/reference/magics.md``; a test compares the two.
"""

from __future__ import annotations

import sys

from workbench.magics.tables import format_help

__all__ = ["reference"]

_HEAD = """# Magics

`%load_ext workbench` brings them; `%prompt --help`, `%promptcmd --help` and `%ab --help` say the same as this page. Words with spaces stand in
quotes; regular expressions in single ones; `#` begins a comment. `%wb` shows the connection, `%wb use PROJECT` changes the project.
`%%sql` works on the same database with your own rights, see [the SQL views](sql.md).
"""

_PAGES = (
    (
        "%%prompt and %prompt",
        "prompt",
        "Write, call and keep prompts. See [how to run a prompt over a table](../how-to/runs.md).",
    ),
    ("%promptcmd", "promptcmd", "Look after saved prompts. See [how to keep prompts](../how-to/prompts.md)."),
    ("%ab", "ab", "Compare two versions. See [what a verdict means](../explanation/statistics.md)."),
)


def reference() -> str:
    """Return the page as Markdown."""
    sections = [
        f"\n## {title}\n\n{intro}\n\n```\n{format_help(magic)}```\n" for title, magic, intro in _PAGES
    ]
    return _HEAD + "".join(sections)


if __name__ == "__main__":
    sys.stdout.write(reference())
