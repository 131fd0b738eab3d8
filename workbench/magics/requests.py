"""From a parsed line to what the services are asked: the notebook's variables are looked up here."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import OptionError, SchemaError, UndefinedVariableError, did_you_mean
from workbench.magics.data import find_data
from workbench.magics.grammar import AbLine, PromptLine
from workbench.magics.options import Variable
from workbench.services.cells import Cell, confirm

if TYPE_CHECKING:
    from workbench.magics.display import Stream
    from workbench.services.workbench import Workbench

__all__ = ["cell_of", "test_of", "wb_of"]

Scope = Mapping[str, Any]

#: Options that the grammar knows and this version does not do yet.
_LATER = {"judges": "--judge"}


def cell_of(
    workbench: Workbench, parsed: PromptLine, text: str | None, scope: Scope, stream: Stream | None
) -> Cell:
    """Return what a ``%prompt`` line, with or without a text below, asks for."""
    for field, option in _LATER.items():
        if getattr(parsed, field):
            raise OptionError(f"{option} is not there yet in this version", cure="leave it out")
    return Cell(
        ref=parsed.refs[0] if parsed.refs else None,
        text=_text(parsed, text),
        source=None if parsed.source is None else Path(parsed.source),
        system=parsed.system,
        save_as=parsed.save_as,
        label=parsed.label,
        tags=parsed.tags,
        note=parsed.note or "",
        builds_on=tuple(map(str, parsed.includes)),
        execute=not parsed.no_execute,
        look_up=scope.__getitem__,
        parameters={name: _value(name, value, scope) for name, value in parsed.parameters.items()},
        models=parsed.models,
        options=_options(parsed, scope),
        data=None if parsed.data is None else find_data(workbench, parsed.data, scope),
        attach=tuple(each for name in parsed.attach for each in _files(name, scope)),
        samples=parsed.samples or 1,
        concurrency=parsed.concurrency,
        scorers=parsed.checks,
        budget=parsed.budget,
        cache="off" if parsed.no_cache else "deterministic",
        resume=not parsed.fresh,
        retry_errors=parsed.retry_errors,
        versus=parsed.vs,
        background=parsed.background,
        dry_run=parsed.dry_run,
        confirmed=parsed.yes,
        progress=not parsed.quiet,
        on_text=stream.heard if stream else None,
        on_tick=stream.draw if stream else None,
    )


def test_of(workbench: Workbench, parsed: AbLine, scope: Scope) -> Any:
    """Do what an ``%ab`` line asks for."""
    verbs: dict[str, Callable[[], Any]] = {
        "list": workbench.ab.list,
        "show": lambda: workbench.ab.get(parsed.test or ""),
        "stop": lambda: workbench.ab.get(parsed.test or "").stop(),
        "plan": lambda: _test(workbench, parsed, scope).plan(),
        "run": lambda: _run(workbench, parsed, scope),
    }
    if parsed.verb not in verbs:
        raise OptionError(
            f"%ab {parsed.verb} is not there yet in this version", cure=f"use {', '.join(verbs)}"
        )
    return verbs[parsed.verb]()


def wb_of(workbench: Workbench, line: str) -> Any:
    """Do what a ``%wb`` line asks for."""
    verb, *words = shlex.split(line) or [""]
    if not verb:
        return workbench
    if verb == "use" and len(words) == 1:
        return workbench.use(words[0])
    if verb == "last" and not words:
        return workbench.last
    hint = did_you_mean(verb, ["use", "last"])
    raise OptionError(
        f"%wb {line}: unknown; {hint}".rstrip("; "), cure="write %wb, %wb use PROJECT, or %wb last"
    )


def _run(workbench: Workbench, parsed: AbLine, scope: Scope) -> Any:
    test = _test(workbench, parsed, scope)
    if test.status != "completed":
        confirm(workbench, test.plan(), confirmed=parsed.yes, budget=parsed.budget)
    test.run(budget=parsed.budget, progress=not parsed.quiet)
    return test.analyze()


def _test(workbench: Workbench, parsed: AbLine, scope: Scope) -> Any:
    if parsed.test is not None:
        return workbench.ab.get(parsed.test)
    if len(parsed.refs) != 2:
        raise OptionError(
            f"a test has two arms, not {len(parsed.refs)}", cure="write %ab run tone@1 tone@2 -d reviews"
        )
    if parsed.data is None:
        raise OptionError("a test needs cases", cure="add -d NAME of a DataFrame or dataset")
    design: dict[str, Any] = {
        name: value
        for name, value in {
            "metric": parsed.metric or ("pass" if parsed.checks else "latency"),
            "mde": parsed.mde,
            "margin": parsed.margin,
            "alpha": parsed.alpha,
            "power": parsed.power,
            "design": parsed.design,
            "samples": parsed.samples,
            "model": parsed.models[0] if parsed.models else None,
        }.items()
        if value is not None
    }
    a, b = map(str, parsed.refs)
    return workbench.ab.ask(
        a, b, data=find_data(workbench, parsed.data, scope), name=parsed.name, scorers=parsed.checks, **design
    )


def _text(parsed: PromptLine, text: str | None) -> str | None:
    if parsed.source is None:
        return text
    if text is not None and text.strip():
        raise OptionError("--from FILE and a text below the line are both there", cure="keep one of them")
    return None


def _options(parsed: PromptLine, scope: Scope) -> dict[str, Any]:
    named = {
        "temperature": parsed.temperature,
        "max_tokens": parsed.max_tokens,
        "seed": parsed.seed,
        "format": parsed.format,
        "schema": None if parsed.schema is None else _schema(parsed.schema, scope),
    }
    return {**parsed.options, **{name: value for name, value in named.items() if value is not None}}


def _schema(name: str, scope: Scope) -> Any:
    """A variable that holds a schema, else the path of a file."""
    if name in scope or name.endswith(".json"):
        return scope.get(name, name)
    hint = did_you_mean(name, [key for key in scope if not key.startswith("_")])
    raise SchemaError(
        f"--schema {name}: there is no variable {name!r}; {hint}".rstrip("; "),
        cure="define it first, or name a .json file",
    )


def _value(name: str, value: Any, scope: Scope) -> Any:
    if not isinstance(value, Variable):
        return value
    if value.name not in scope:
        hint = did_you_mean(value.name, [key for key in scope if not key.startswith("_")])
        raise UndefinedVariableError(
            f"-p {name}=@{value.name}: there is no variable {value.name!r}; {hint}".rstrip("; "),
            cure="define it first",
        )
    return scope[value.name]


def _files(name: str, scope: Scope) -> Sequence[Any]:
    """Return a path or an address as it is, and what ``@variable`` holds: one of them, bytes, or a list."""
    if not name.startswith("@"):
        return [name]
    if name[1:] in scope:
        found = scope[name[1:]]
        return found if isinstance(found, list | tuple) else [found]
    hint = did_you_mean(name[1:], [key for key in scope if not key.startswith("_")])
    raise UndefinedVariableError(
        f"--attach {name}: there is no variable {name[1:]!r}; {hint}".rstrip("; "), cure="define it first"
    )
