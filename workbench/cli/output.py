"""How the command line prints: results to stdout, everything else to stderr.

On a terminal, control characters are shown instead of sent: a model's or a colleague's text must not
move the cursor or rewrite what stands above it. Into a file or a pipe, text goes unchanged.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

__all__ = ["complain", "counting", "records", "say", "show_json", "show_table", "telling", "visible"]

#: C0 and C1 controls but newline and tab, and the marks that turn the direction of writing.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))} | {
    code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
}

_STATUS_COLOURS = {
    "ok": "green", "done": "green", "complete": "green", "completed": "green", "finished": "green", "warn": "yellow",
    "running": "yellow", "stopped": "yellow", "fail": "red", "failed": "red",
}  # fmt: skip


def visible(text: str) -> str:
    r"""Return the text with its control characters written out.

    >>> visible("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return text.translate(_CONTROLS)


def say(text: str) -> None:
    """Print a result."""
    print(visible(text) if sys.stdout.isatty() else text)  # click.echo would take escapes out of files too


def show_json(value: Any) -> None:
    """Print JSON, non-ASCII characters escaped."""
    print(json.dumps(value, indent=2, default=_plain))


def show_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, empty: str) -> None:
    """Print rows as a table; without any, say so on stderr.

    Args:
        rows: column → value.
        columns: those to print, in order.
        empty: what to say when there are no rows.

    """
    if not rows:
        click.echo(empty, err=True)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold" if column in {"id", "name", "html"} else "ellipsis")
    for row in rows:
        table.add_row(*(Text(_cell(row.get(name)), _colour(name, row.get(name))) for name in columns))
    _console().print(table)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a DataFrame's rows as dicts of Python's own values, missing ones as None."""
    plain = frame.astype(object)
    return [
        {str(name): _python(value) for name, value in row.items()}
        for row in plain.where(frame.notna(), None).to_dict(orient="records")
    ]


def complain(error: WorkbenchError) -> None:
    """Print an error on stderr: what is wrong, then the cure."""
    lines = [error.message, *([f"→ {error.cure}"] if error.cure else [])]
    text = "\n".join(lines)
    click.secho(
        visible(text) if sys.stderr.isatty() else text, err=True, fg="red" if sys.stderr.isatty() else None
    )


@contextmanager
def telling() -> Iterator[Callable[[str], None]]:
    """Give a function that tells what takes long: one moving line on a terminal, else a line each."""
    if not sys.stderr.isatty():
        yield lambda line: click.echo(line, err=True)
        return
    from rich.status import Status
    from rich.text import Text

    with Status("", console=_console(stderr=True)) as status:
        yield lambda line: status.update(Text(visible(line)))


@contextmanager
def counting(label: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function that is told (done, all): a bar on a terminal, else a line each."""
    if not sys.stderr.isatty():
        yield lambda done, total: click.echo(f"{label} {done} of {total}", err=True)
        return
    from rich.progress import Progress

    with Progress(console=_console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    wide = None if stream.isatty() else 10_000  # what is read by programs is never cut
    return Console(stderr=stderr, width=wide, highlight=False, emoji=False, markup=False)


def _python(value: Any) -> Any:
    # A pandas Timestamp is a datetime, but its astimezone() wants to be told the zone.
    return value.to_pydatetime() if hasattr(value, "to_pydatetime") else value


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return f"{value.astimezone():%Y-%m-%d %H:%M}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return visible(str(value)).replace("\n", " ").replace("\t", " ")


def _colour(column: str, value: Any) -> str:
    return _STATUS_COLOURS.get(str(value), "") if column == "status" else ""


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, dt.datetime) else str(value)
