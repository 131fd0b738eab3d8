"""The composition root: one object that holds settings, database, providers, and every verb."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from workbench.core.display import Card, Rich
from workbench.core.versions import PromptResult, PromptVersion
from workbench.db.connect import person_url, shareable_url
from workbench.db.engine import Database
from workbench.db.queries import accounts
from workbench.db.scope import Scope
from workbench.errors import UnknownReferenceError, did_you_mean
from workbench.services.accessor import forget, remember
from workbench.services.asking import Asking
from workbench.services.bridge import Bridge
from workbench.services.datasets import Datasets
from workbench.services.estimating import Plan
from workbench.services.evaluating import Evaluating
from workbench.services.models import Models
from workbench.services.progress import Reporter, TextReporter
from workbench.services.prompts import Prompts
from workbench.services.rooms import Rooms
from workbench.services.run import Run
from workbench.services.running import Running
from workbench.services.runs import Runs
from workbench.services.schemas import Schemas, with_schema
from workbench.services.talking import Talks
from workbench.settings import Settings

if TYPE_CHECKING:
    from workbench.services.found import Found
    from workbench.services.statistics import Statistics

__all__ = ["Workbench", "connect"]

DEFAULT_PROJECT = "default"


class Workbench(Rooms, Talks, Rich):
    """Everything that a person can ask for, on one database and in one project.

    Attributes:
        project: the name of the project in use.
        config: the process's settings, from the environment.
        last: the last result of any verb.
        default_model: answers where nothing else names a model.
        confirm_over: USD that a plan may cost before it asks.
        attended: whether somebody is there who can be asked; False where a notebook is executed by a program.
        reporter: makes what shows the progress of long work.

    """

    def __init__(
        self, settings: Settings, database: Database, project: str | None = None, *, url: str | None = None
    ) -> None:
        self.config = settings
        self._url = url
        self.database = database
        self.bridge = Bridge()
        self.last: Any = None
        self.default_model = settings.model
        self.confirm_over = settings.confirm_over
        self.attended = True
        self.reporter: Callable[[], Reporter] = TextReporter
        self.schemas = Schemas()
        self.prompts: Prompts = Prompts(self)
        self.datasets = Datasets(self)
        self.models = Models(self)
        self.running = Running(self)
        self.runs = Runs(self)
        self.evaluating = Evaluating(self)
        self._asking = Asking(self)
        self.use(project or settings.project or DEFAULT_PROJECT)

    def use(self, project: str, *, create: bool = True) -> Self:
        """Choose a project, one's own or one that is shared; a new name makes a new one, unless ``create`` is False.

        Raises:
            UnknownReferenceError: there is no such project, and none is to be made.

        """
        if not create and project not in (known := self.projects()):
            cure = did_you_mean(project, known) or f"there are {', '.join(known)}"
            raise UnknownReferenceError(f"there is no project {project!r}", cure=cure)
        self._asking.close()
        with self.database.session() as session:
            found = accounts.use_project(session, self.database.user_id, project)
            self.project, self.project_id = found.name, found.id
        return self

    def projects(self) -> list[str]:
        """Return the names of the projects that this person can read."""
        with self.database.session() as session:
            return [found.name for found in accounts.projects(session)]

    def environment(self) -> dict[str, str]:
        """Return the environment of a child process that shall work on the same database as the same person."""
        model = {"WORKBENCH_MODEL": self.default_model} if self.default_model else {}
        return {
            **os.environ,
            "WORKBENCH_HOME": str(self.config.home),
            "DATABASE_URL": shareable_url(self.config, self._url),
            **model,
        }

    @property
    def scope(self) -> Scope:
        """Where new rows belong."""
        return Scope(self.project_id, self.database.user_id)

    def search_outputs(self, text: str, limit: int = 20, **filters: Any) -> Found:
        """Find answers by their words, best first.

        Args:
            text: the words; quotes make a phrase, ``OR`` an alternative, ``-word`` excludes.
            limit: at most so many rows, up to 1,000.
            filters: prompt (a title or reference), model, project, since, until, status.

        Example:
            >>> wb.search_outputs("refund", prompt="reply@prod", status="done")  # doctest: +SKIP

        """
        return self.searching.outputs(text, limit, **filters)

    def stats(self, project: str | None = None) -> Statistics:
        """Return what each person did in each project that this person can read: prompts, calls, tokens, cost."""
        from workbench.services.statistics import statistics

        return statistics(self, project)

    def ask(
        self,
        prompt: str | PromptVersion,
        *,
        variables: Mapping[str, Any],
        model: str | None = None,
        options: Mapping[str, Any] | None = None,
        schema: Any = None,
        attach: Any = (),
        on_text: Callable[[str], None] | None = None,
        on_tick: Callable[[], None] | None = None,
    ) -> PromptResult:
        """Answer one call; with ``on_text`` the answer streams, with ``schema`` it is checked.

        ``attach`` sends pictures or PDFs along: a path, bytes, an https address, or a list of them.

        Example:
            >>> wb.ask("tone", variables={"text": "Lovely."}).text  # doctest: +SKIP
            'positive'

        """
        version = self.prompts.resolve(prompt)
        asked = with_schema(options, schema)
        question = self._asking.question(version, variables, model=model, options=asked, attach=attach)
        result = self._asking.answer(question, on_text=on_text, on_tick=on_tick)
        self.last = result
        return result

    async def aask(
        self,
        prompt: str | PromptVersion,
        *,
        variables: Mapping[str, Any],
        model: str | None = None,
        options: Mapping[str, Any] | None = None,
        schema: Any = None,
        attach: Any = (),
    ) -> PromptResult:
        """Answer one call, awaited."""
        asked = with_schema(options, schema)
        return await self._asking.aanswer(
            lambda: self._asking.question(
                self.prompts.resolve(prompt), variables, model=model, options=asked, attach=attach
            )
        )

    def run(
        self,
        prompts: str | PromptVersion | Sequence[str | PromptVersion],
        *,
        model: str | Sequence[str] | None = None,
        data: Any = None,
        variables: Mapping[str, Any] | None = None,
        samples: int = 1,
        scorers: Sequence[Any] = (),
        concurrency: int | None = None,
        budget: float | Decimal | None = None,
        cache: str = "deterministic",
        resume: bool = True,
        options: Mapping[str, Any] | None = None,
        schema: Any = None,
        attach: str | None = None,
        retry_errors: bool = False,
        progress: bool = True,
        background: bool = False,
    ) -> Run:
        """Answer versions × models × cases × samples; every call a durable row.

        Args:
            prompts: a reference or version, or several.
            model: a model id, or several; by default the version's, or the default model.
            data: a DataFrame, a list of dicts, or a dataset's name.
            variables: values that are the same for every case; alone they are the only case.
            samples: answers per case.
            scorers: rules such as ``equals:@label``.
            concurrency: calls in flight; by default what the provider bears.
            budget: USD that this run may spend.
            cache: ``deterministic`` reuses answers of temperature 0 or a seed; ``all``; ``off``.
            resume: go on with an unfinished run of the same plan.
            options: sampling options for every call.
            schema: what every answer must be: a pydantic model, a dataclass, a JSON schema …; other answers have failed.
            attach: the column that holds the path or address of a picture or PDF, sent with each row.
            retry_errors: on resuming, call again what failed.
            progress: show it.
            background: return at once with a run of status ``running``, which ``wait()`` waits for and ``cancel()`` stops;
                leaving the kernel stops it, and ``resume()`` goes on. Where a program executes the notebook nobody would
                wait, so there it returns when all is done.

        Raises:
            InputError: what is asked for cannot be asked; nothing was called.
            RunInterruptedError: the person stopped it; what was answered is stored.
            WorkbenchError: what ended it early, such as a refused key or a budget; what was answered is stored.

        Example:
            >>> wb.run("tone", data=df, scorers=["equals:@label"]).frame()  # doctest: +SKIP

        """
        self.evaluating.check(scorers)
        plan = self.running.make_plan(
            prompts,
            model=model,
            data=data,
            variables=variables,
            samples=samples,
            concurrency=concurrency,
            budget=budget,
            cache=cache,
            options=options,
            schema=schema,
            scorers=scorers,
            attach=attach,
        )
        if background and self.attended:
            return self.runs.start(plan, scorers=scorers, resume=resume, retry_errors=retry_errors)
        return self.running.run(
            plan, scorers=scorers, resume=resume, retry_errors=retry_errors, progress=progress
        )

    def plan(self, prompts: str | PromptVersion | Sequence[str | PromptVersion], **arguments: Any) -> Plan:
        """Estimate what ``run`` with the same arguments would call, cost and take; nothing is called."""
        for name in ("progress", "background"):
            arguments.pop(name, None)
        going_on = {name: arguments.pop(name) for name in ("resume", "retry_errors") if name in arguments}
        return self.running.estimate(self.running.make_plan(prompts, **arguments), **going_on)

    def evaluate(self, run: Run, scorers: Sequence[Any]) -> Run:
        """Score the answers of a run; a scorer's earlier scores are replaced."""
        self.evaluating.score(run.id, scorers)
        scored = self.runs.get(run.id)
        self.last = scored
        return scored

    def close(self) -> None:
        """Stop background runs, write what is waiting, end local servers and connections."""
        forget(self)
        self.runs.background.close()
        self._asking.close()
        if "limiter" in self.__dict__:
            self.bridge.run(self.limiter.aclose())
        self.models.close()
        self.bridge.close()
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def card(self) -> Card:
        """Return the project, what answers in it, and where its rows are."""
        model = f"default model {self.default_model}" if self.default_model else "no default model"
        place = f"PostgreSQL {self.database.server_version}: {self.database.where}"
        return Card(title=f"Project {self.project}", note=f"{model} · {place}")

    def __repr__(self) -> str:
        return f"<Workbench: project {self.project!r} in {self.database.where}>"


def connect(
    url: str | None = None,
    project: str | None = None,
    *,
    settings: Settings | None = None,
    progress: Callable[[str], None] | None = None,
) -> Workbench:
    """Open the workbench.

    Args:
        url: ``postgresql://…`` or ``embedded:///path``; by default ``$DATABASE_URL``, the saved connection, or the
            embedded server, which starts by itself.
        project: the project to use.
        settings: by default the environment's.
        progress: told, a line at a time, what takes long.

    Raises:
        DatabaseError: the server cannot be reached or started.
        DatabaseUrlError: the URL is malformed, or an administrator's.

    Example:
        >>> import workbench  # doctest: +SKIP
        >>> with workbench.connect(project="support-bot") as wb:  # doctest: +SKIP
        ...     wb.prompts.list()

    """
    found = settings or Settings.from_env()
    database = Database(person_url(found, url, progress), spool=found.home / "spool")
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(database.close)
        if (drained := database.drain()) and progress is not None:
            progress(str(drained))
        workbench = Workbench(found, database, project, url=url)
        cleanup.pop_all()
    remember(workbench)
    return workbench
