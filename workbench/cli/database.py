"""``workbench db …``: the server behind the workbench."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from workbench.cli.commands import Group, json_option
from workbench.cli.output import say, show_json, telling
from workbench.settings import Settings

__all__ = ["db"]

_ADMIN_URL = "postgresql://admin@db.example.org/workbench"


@click.group(cls=Group)
def db() -> None:
    """Start, look at, prepare and migrate the database."""


@db.command("start", examples=["workbench db start"])
def _start() -> None:
    """Start the embedded server.

    The first time its database is made. It also starts by itself when it is needed, and keeps running after the notebook ends.
    """
    from workbench.services.maintenance import start_server

    with telling() as tell:
        status = start_server(Settings.from_env(), tell)
    say(str(status))


@db.command("stop", examples=["workbench db stop", "workbench db stop --force"])
@click.option("--force", is_flag=True, help="Cut off those who are connected.")
def _stop(*, force: bool) -> None:
    """Stop the embedded server, unless somebody is connected to it."""
    from workbench.services.maintenance import stop_server

    stop_server(Settings.from_env(), force=force)
    say("the embedded server is stopped")


@db.command("status", examples=["workbench db status", "workbench db status --json"])
@json_option
@click.pass_context
def _status(ctx: click.Context, *, as_json: bool) -> None:
    """Tell where the database is and whether it runs.

    The exit code is 1 when it does not run.
    """
    from workbench.services.maintenance import server_status

    status = server_status(Settings.from_env())
    if as_json:
        show_json(status.to_dict())
    else:
        say(str(status))
    ctx.exit(0 if status.running else 1)


@db.command("url", examples=["workbench db url", 'psql "$(workbench db url)"'])
def _url() -> None:
    """Print your own login as a URL for other programs.

    Its password is not in it, but in a file that only you can read.
    """
    from workbench.services.maintenance import connection_url

    with telling() as tell:
        url = connection_url(Settings.from_env(), tell)
    say(url)


@db.command(
    "psql",
    examples=[
        "workbench db psql",
        'workbench db psql -c "select status, count(*) from executions group by 1"',
        "workbench db psql --csv -c 'table v_runs'",
    ],
    context_settings={"ignore_unknown_options": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def _psql(arguments: tuple[str, ...]) -> None:
    """Open psql as yourself, or pass it arguments.

    Tables need no schema in front.
    """
    from workbench.services.maintenance import psql

    with telling() as tell:
        command, environment = psql(Settings.from_env(), arguments, tell)
    sys.stdout.flush()
    os.execve(command[0], command, environment)  # noqa: S606 - psql takes over this terminal


@db.command(
    "init",
    examples=[
        f"workbench db init {_ADMIN_URL}",
        f"workbench db init {_ADMIN_URL} --username ann --email ann@example.org --file ann.env",
    ],
)
@click.argument("admin_url", metavar="ADMIN_URL", envvar="WORKBENCH_ADMIN_URL")
@click.option("--email", metavar="ADDRESS", help="Of the person who gets a login.")
@click.option("--username", metavar="NAME", help="Of that person; by default your own.")
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write that person's DATABASE_URL to this file, for somebody else than you.",
)
def _init(admin_url: str, email: str | None, username: str | None, file: Path | None) -> None:
    """Prepare an external PostgreSQL and one person's login.

    The server is PostgreSQL 16 or newer. ADMIN_URL is that of a superuser, or of a role with CREATEROLE that owns the database; it is used
    once and not kept. Set WORKBENCH_ADMIN_URL instead to keep a password out of the list of processes.
    """
    from workbench.services.maintenance import prepare

    with telling() as tell:
        done = prepare(
            Settings.from_env(), admin_url, email=email, username=username, file=file, progress=tell
        )
    say(str(done))


@db.command("migrate", examples=["workbench db migrate", f"workbench db migrate {_ADMIN_URL}"])
@click.argument("admin_url", metavar="[ADMIN_URL]", required=False)
def _migrate(admin_url: str | None) -> None:
    """Bring the schema to the revision of this version.

    The embedded database is also migrated by itself when it is opened. An external database needs ADMIN_URL or WORKBENCH_ADMIN_URL.
    """
    from workbench.services.maintenance import migrate

    with telling() as tell:
        said = migrate(Settings.from_env(), admin_url, tell)
    say(said)
