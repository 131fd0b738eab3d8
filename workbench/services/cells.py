"""What one cell asks for: save a text, then answer it once, or over a table, or against another version.

Everything that can be checked is checked before the text is saved: a cell that cannot work leaves no version
behind, and above all moves no label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.analysis import Comparison
from workbench.core.body import PromptBody, parse_body
from workbench.core.declarations import fill
from workbench.core.keys import find_key
from workbench.core.refs import Ref, check_label
from workbench.core.versions import PromptResult, PromptVersion, format_cost
from workbench.errors import ConfirmationNeededError, InputError, OptionError
from workbench.services.calls import build_request
from workbench.services.estimating import Plan
from workbench.services.files import prompt_of_file
from workbench.services.planning import check_read, make_arm
from workbench.services.run import Run
from workbench.services.saving import draft_of, preview

if TYPE_CHECKING:
    from workbench.db.queries.prompts import Draft
    from workbench.services.workbench import Workbench

__all__ = ["Cell", "CellResult", "confirm", "perform"]

#: The column of the files of a run without data.
_ATTACHED = "attached"

CellResult = PromptResult | Run | Plan | PromptVersion | Comparison


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A cell, parsed but not looked up.

    Attributes:
        ref: the prompt's title, or a reference where there is no text.
        text: the template; None to call a saved version.
        source: the file that holds the template, in the place of ``text``.
        look_up: finds a variable's value in the notebook; raises KeyError.
        parameters: values given on the line; they win.
        builds_on: references of prompts that the text builds on.
        data: rows to answer, or None for a single call.
        attach: pictures and PDFs that go with the call; with ``data`` the one column that names them.

    """

    ref: Ref | None = None
    text: str | None = None
    source: Path | None = None
    system: str | None = None
    save_as: str | None = None
    label: str | None = None
    tags: Sequence[str] = ()
    note: str = ""
    builds_on: Sequence[str] = ()
    execute: bool = True
    look_up: Callable[[str], Any] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    models: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    data: Any = None
    attach: Sequence[Any] = ()
    samples: int = 1
    concurrency: int | None = None
    scorers: Sequence[str] = ()
    budget: float | None = None
    cache: str = "deterministic"
    resume: bool = True
    retry_errors: bool = False
    versus: str | None = None
    background: bool = False
    dry_run: bool = False
    confirmed: bool = False
    progress: bool = True
    on_text: Callable[[str], None] | None = None
    on_tick: Callable[[], None] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """What a cell calls: a saved version, or a draft as the version that it will be when nothing speaks against it."""

    version: PromptVersion
    draft: Draft | None = None
    label: str | None = None


def perform(workbench: Workbench, cell: Cell) -> CellResult:
    """Do what a cell asks for: check it, save its text, move its label, and only then call; a dry run saves nothing.

    Raises:
        ConfirmationNeededError: the plan costs more than may be spent without asking; nothing was saved.
        InputError: the cell contradicts itself, holds a provider's key, or cannot be called; nothing was saved.
        ConfigError: there is no such model; nothing was saved.

    """
    cell = replace(cell, options=workbench.schemas.plain(cell.options))
    wanted = _wanted(workbench, cell)
    if not cell.execute:
        return _kept(workbench, wanted)
    workbench.evaluating.check(cell.scorers)
    if cell.versus is not None:
        return _versus(workbench, cell, wanted)
    models = cell.models or _models_of(wanted.version)
    single = cell.data is None and cell.samples == 1 and len(models) <= 1 and not cell.scorers
    if single and not (cell.dry_run or cell.background):
        return _ask(workbench, cell, wanted, models[0] if models else None)
    return _run(workbench, cell, wanted, models)


def _wanted(workbench: Workbench, cell: Cell) -> _Wanted:
    if cell.text is None and cell.source is None:
        if cell.builds_on:
            raise OptionError(
                "-w/--with needs a text to build with it", cure="write %%prompt and the text below the line"
            )
        if cell.ref is None:
            raise OptionError(
                "there is neither a title nor a text",
                cure="write %prompt TITLE, or %%prompt and the text below it",
            )
        return _Wanted(version=workbench.prompts.get(str(cell.ref)), label=cell.label)
    title, body, given = _written(workbench, cell)
    label = cell.label or body.front_matter.get("label")
    draft = draft_of(workbench, title, body, **given)
    return _Wanted(
        version=preview(workbench, draft), draft=draft, label=check_label(label) if label else None
    )


def _kept(workbench: Workbench, wanted: _Wanted) -> PromptVersion:
    """Save what is not saved yet, and move the label."""
    if wanted.draft is not None:
        return workbench.prompts.save_draft(wanted.draft, label=wanted.label)
    version = wanted.version
    return workbench.prompts.label(version.ref, wanted.label) if wanted.label else version


def _written(workbench: Workbench, cell: Cell) -> tuple[str | None, PromptBody, dict[str, Any]]:
    """Return a cell's text as ``save_body`` takes it: title, body, and what is given beside it."""
    if cell.ref is not None and str(cell.ref) != cell.ref.title:
        raise OptionError(
            f"a cell with a text saves a new version of {cell.ref.title!r}, so it cannot be {cell.ref}",
            cure=f"write %%prompt {cell.ref.title} to save it, or %prompt {cell.ref} to call what is saved",
        )
    title = cell.save_as or (cell.ref.title if cell.ref else None)
    given: dict[str, Any] = {"tags": cell.tags, "note": cell.note, "builds_on": cell.builds_on}
    if cell.source is not None:
        return prompt_of_file(
            workbench, cell.source, title=title, system=cell.system, look_up=cell.look_up, **given
        )
    text = cell.text or ""
    if find_key(text):
        raise InputError(
            "the cell holds what looks like a provider's key; nothing was saved or sent",
            cure="remove it and revoke it: it now stands in this notebook and in IPython's history; keys go into OPENROUTER_API_KEY",
        )
    body: PromptBody = parse_body(text, system=cell.system)
    schema = body.front_matter.get("schema")
    if isinstance(schema, str):
        given["settings"] = {"schema": workbench.schemas.read(schema, look_up=cell.look_up)}
    return title or body.front_matter.get("title"), body, given


def _ask(workbench: Workbench, cell: Cell, wanted: _Wanted, model: str | None) -> PromptResult:
    values = _values(cell, wanted.version)
    arm = make_arm(workbench, wanted.version, model=model, options=cell.options)
    # Rendered once for its errors alone: those inside a value are found nowhere else.
    filled = fill(arm.version.variables, values, give="-p {}=…")
    check_read([wanted.version], cell.parameters)
    build_request(arm.body, filled, arm.model, arm.options, schema=arm.schema)
    return workbench.ask(
        _kept(workbench, wanted),
        variables=values,
        model=model,
        options=cell.options,
        attach=cell.attach,
        on_text=cell.on_text,
        on_tick=cell.on_tick,
    )


def _values(cell: Cell, version: PromptVersion) -> dict[str, Any]:
    """Values of a single call: the line's, else the notebook's."""
    values = dict(cell.parameters)
    for name in version.names:
        if name not in values and cell.look_up is not None:
            try:
                values[name] = cell.look_up(name)
            except KeyError:
                continue
    return values


def _models_of(version: PromptVersion) -> list[str]:
    model = version.settings.get("model")
    return list(model) if isinstance(model, list | tuple) else []


def _run(workbench: Workbench, cell: Cell, wanted: _Wanted, models: Sequence[str]) -> Run | Plan:
    # With data, the notebook's variables stay out: a misspelt column must not find a stale one.
    variables = cell.parameters if cell.data is not None else _values(cell, wanted.version)
    column = _column(cell)
    if column is not None and cell.data is None:
        variables = {**variables, column: _paths(cell.attach)}
    plan = workbench.running.make_plan(
        wanted.version,
        model=list(models) or None,
        data=cell.data,
        variables=variables,
        samples=cell.samples,
        concurrency=cell.concurrency,
        budget=cell.budget,
        cache=cell.cache,
        options=cell.options,
        scorers=cell.scorers,
        attach=column,
    )
    workbench.evaluating.check_cases(cell.scorers, [case for _, case in plan.cases])
    estimated = workbench.running.estimate(plan, resume=cell.resume, retry_errors=cell.retry_errors)
    if cell.dry_run:
        return estimated
    confirm(workbench, estimated, confirmed=cell.confirmed, budget=cell.budget)
    version = _kept(workbench, wanted)
    plan = replace(plan, arms=tuple(replace(arm, version=version) for arm in plan.arms))
    options: dict[str, Any] = {
        "scorers": cell.scorers,
        "resume": cell.resume,
        "retry_errors": cell.retry_errors,
        "label": version.ref,
    }
    if cell.background and workbench.attended:
        return workbench.runs.start(plan, **options)
    return workbench.running.run(plan, progress=cell.progress, **options)


def _column(cell: Cell) -> str | None:
    """Return the column that names a row's files; without data the files of the line make one."""
    if cell.data is None or not cell.attach:
        return _ATTACHED if cell.attach else None
    if len(cell.attach) > 1 or not isinstance(cell.attach[0], str):
        raise OptionError(
            "with -d, --attach names the one column that holds each row's file",
            cure="write --attach COLUMN once",
        )
    return cell.attach[0]


def _paths(attach: Sequence[Any]) -> list[str]:
    if not all(isinstance(each, str | Path) for each in attach):
        raise OptionError(
            "several calls can share a file, not a value that is only in memory",
            cure="write it to a file first",
        )
    return [str(each) for each in attach]


def _versus(workbench: Workbench, cell: Cell, wanted: _Wanted) -> Comparison | Plan:
    if cell.data is None:
        raise OptionError("--vs needs cases to compare on", cure="add -d NAME")
    for given, option in (
        (cell.background, "--bg"),
        (not cell.resume, "--fresh"),
        (cell.retry_errors, "--retry-errors"),
    ):
        if given:
            raise OptionError(
                f"{option} does not go with --vs: a test asks each question once, and gives its verdict at the end",
                cure=f"leave {option} out, or run the two versions apart and compare them: run.compare(other)",
            )
    title, model = wanted.version.title, cell.models[0] if cell.models else None
    other = workbench.prompts.get(
        f"{title}@{cell.versus}" if "@" not in str(cell.versus) else str(cell.versus)
    )
    column = _column(cell)
    options = {**cell.options, **({} if column is None else {"attach": column})}
    data = workbench.datasets.of(cell.data)
    plan = workbench.running.plan_arms(
        [
            make_arm(workbench, version, model=model, options=options, variant=variant)
            for variant, version in (("A", other), ("B", wanted.version))
        ],
        data=data,
        samples=cell.samples,
        budget=cell.budget,
    )
    workbench.evaluating.check_cases(cell.scorers, [case for _, case in plan.cases])
    estimated = workbench.running.estimate(plan)
    if cell.dry_run:
        return estimated
    confirm(workbench, estimated, confirmed=cell.confirmed, budget=cell.budget)
    test = workbench.ab.ask(
        other,
        _kept(workbench, wanted),
        data=data,
        scorers=cell.scorers,
        model=model,
        options=options,
        samples=cell.samples,
        metric="pass" if cell.scorers else "latency",
    )
    test.run(budget=cell.budget, concurrency=cell.concurrency, progress=cell.progress)
    return test.analyze()


def confirm(workbench: Workbench, plan: Plan, *, confirmed: bool, budget: float | None) -> None:
    """Stop a plan that costs more than may be spent without asking; unattended, one that costs anything.

    Unattended a yes is enough for what may be spent without asking, and where nobody knows the price; beyond that only
    a budget is.

    Args:
        workbench: what may be spent without asking, and whether somebody is there.
        plan: the estimate.
        confirmed: whether the person has said yes beforehand.
        budget: USD that the run may spend; with one, nothing is asked.

    Raises:
        ConfirmationNeededError: with the plan, and what to add to the line.

    """
    if budget is not None:
        return
    small = plan.cost is None or plan.cost <= workbench.confirm_over
    if not workbench.attended and plan.cost != 0 and not (small and confirmed):
        raise ConfirmationNeededError(
            f"a program executes this notebook, so nobody watches what is spent, and this run has no budget:\n{plan}",
            cure="add --budget USD" + (", or --yes" if small else ""),
        )
    if confirmed or small:
        return
    raise ConfirmationNeededError(
        f"this would cost about {format_cost(plan.cost)}, more than ${workbench.confirm_over:g}:\n{plan}",
        cure="add --yes to run it, or --budget USD to limit it",
    )
