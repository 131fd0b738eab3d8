"""What all commands share: examples in their help, ``--debug`` at any place, how a workbench is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from workbench.services.workbench import Workbench

__all__ = ["Command", "Group", "State", "json_option", "nothing", "opened", "project_option"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class State:
    """What one command line carries: whether an error shows its traceback."""

    debug: bool = False


class Command(click.Command):
    """A command whose help ends with examples.

    Args:
        examples: whole command lines that work.

    """

    def __init__(self, *args: Any, examples: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.params.append(_debug_option(hidden=True))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples below the options."""
        _write_examples(self.examples, formatter)
        super().format_epilog(ctx, formatter)


class Group(click.Group):
    """A group whose help ends with examples: its own, or the first one of each of its commands."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._examples = tuple(examples)
        self.params.append(_debug_option(hidden=False))

    @property
    def examples(self) -> tuple[str, ...]:
        """Whole command lines that work."""
        commands = (self.commands[name] for name in sorted(self.commands))
        return self._examples or tuple(
            each.examples[0] for each in commands if isinstance(each, Command | Group)
        )

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples below the commands."""
        _write_examples(self.examples, formatter)
        super().format_epilog(ctx, formatter)


def json_option(command: F) -> F:
    """Add ``--json``, passed on as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(command)


def project_option(command: F) -> F:
    """Add ``--project``."""
    return click.option(
        "--project", metavar="NAME", help="The project; by default WORKBENCH_PROJECT, else 'default'."
    )(command)


@contextmanager
def opened(project: str | None) -> Iterator[Workbench]:
    """Open the workbench as this user; what takes long is told on stderr."""
    from workbench.cli.output import telling
    from workbench.services.workbench import connect

    with telling() as tell:
        workbench = connect(progress=tell)
    with workbench:
        if project is not None:
            workbench.use(project, create=False)  # the command line only looks: a typo makes no project
        yield workbench


def nothing(wb: Workbench, what: str) -> str:
    """Return what an empty list says: of which project it is, and which others there are."""
    others = [name for name in wb.projects() if name != wb.project]
    hint = f"; look into another one with --project: {', '.join(others)}" if others else ""
    return f"no {what} yet in project {wb.project!r}{hint}"


def _write_examples(examples: Sequence[str], formatter: click.HelpFormatter) -> None:
    with formatter.section("Examples"):
        for example in examples:  # never wrapped: they are there to be copied
            formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


def _debug_option(*, hidden: bool) -> click.Option:
    def remember(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's protocol
        if value:
            ctx.find_root().ensure_object(State).debug = True

    return click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        hidden=hidden,
        callback=remember,
        help="Show the traceback of an error.",
    )
