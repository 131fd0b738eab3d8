"""The whole tree of commands, and the one place where errors become two lines and an exit code."""

from __future__ import annotations

import importlib
import io
import sys
import traceback
from collections.abc import Sequence

import click

from workbench.cli.budgets import budget
from workbench.cli.commands import Command, Group, State
from workbench.cli.database import db
from workbench.cli.exchange import export_prompts, import_prompts
from workbench.cli.library import library
from workbench.cli.models import models
from workbench.cli.output import complain
from workbench.cli.projects import ab
from workbench.cli.prompts import prompt
from workbench.cli.reports import report
from workbench.cli.runs import run
from workbench.cli.searches import search_outputs, search_prompts
from workbench.cli.start import demo, lab
from workbench.cli.upkeep import clean, doctor, health
from workbench.errors import ConfigError, RunInterruptedError, WorkbenchError

__all__ = ["FAILED", "INTERRUPTED", "main", "root", "run_command"]

#: Exit code of every error that the workbench raises on purpose, and of a line that does not parse.
FAILED = 2

#: Exit code after Ctrl-C.
INTERRUPTED = 130

# Not by an import statement: the package's own __init__ reaches up to the notebook's face.
_VERSION: str = importlib.import_module("workbench").__version__


@click.group(
    cls=Group,
    examples=["workbench demo", "workbench lab", "workbench doctor"],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(_VERSION, prog_name="workbench", message="%(prog)s %(version)s")
def root() -> None:
    """Prompt engineering in JupyterLab, on PostgreSQL.

    Everything lies in one directory (WORKBENCH_HOME) and in one database: DATABASE_URL, else the saved
    connection, else an embedded server that starts by itself.
    """


_COMMANDS: tuple[Command | Group, ...] = (
    demo,
    lab,
    doctor,
    health,
    clean,
    db,
    models,
    library,
    prompt,
    run,
    ab,
    report,
    import_prompts,
    export_prompts,
)
prompt.add_command(search_prompts)
run.add_command(search_outputs)
run.add_command(budget)
for _command in _COMMANDS:
    root.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process: 0 done, 1 a check failed, 2 an error, 130 interrupted."""
    sys.exit(run_command(arguments))


def run_command(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    state = State()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that cannot show a character is no failure
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = root.main(arguments, prog_name="workbench", standalone_mode=False, obj=state)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except WorkbenchError as error:
        if state.debug:
            traceback.print_exc()
        complain(error)
        return INTERRUPTED if isinstance(error, RunInterruptedError) else FAILED
    except OSError as error:
        if state.debug:
            traceback.print_exc()
        complain(
            ConfigError(str(error), cure="see who owns it and whether the disk is full; workbench doctor")
        )
        return FAILED
    return code if isinstance(code, int) else 0
