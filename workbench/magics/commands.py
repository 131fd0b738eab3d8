"""``%promptcmd``: one row for each verb, from its words to the Workbench's verb."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from workbench.core.refs import parse_ref
from workbench.core.versions import PromptResult, PromptVersion
from workbench.errors import OptionError, did_you_mean
from workbench.magics.display import Counting
from workbench.magics.tables import COMMAND_FILTERS, COMMAND_USAGES

if TYPE_CHECKING:
    from workbench.magics.grammar import CommandLine
    from workbench.services.workbench import Workbench

__all__ = ["COMMANDS", "Command", "command_of"]

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A verb: how many words it takes, what it asks for, and for changes a line that says what happened.

    How it is written stands in ``COMMAND_USAGES``.
    """

    fewest: int
    most: int | None
    act: Callable[[Workbench, Words, CommandLine], Any]
    done: Callable[[Words, Any], str] | None = None


def command_of(workbench: Workbench, parsed: CommandLine) -> Any:
    """Do what a ``%promptcmd`` line asks for; the result is shown as it is.

    Raises:
        OptionError: too few words, or too many.

    """
    command = COMMANDS[parsed.verb]
    count = len(parsed.words)
    if count < command.fewest or (command.most is not None and count > command.most):
        problem = "needs more words" if count < command.fewest else "takes fewer words"
        raise OptionError(
            f"%promptcmd {parsed.verb} {problem}",
            cure=f"write %promptcmd {parsed.verb} {COMMAND_USAGES[parsed.verb]}; a text with spaces stands in quotes",
        )
    if parsed.verb != "search" and (filters := _filters(parsed)):
        raise OptionError(f"%promptcmd {parsed.verb} takes no --{next(iter(filters))}", cure="leave it out")
    result = command.act(workbench, parsed.words, parsed)
    if command.done is not None and not parsed.quiet:
        print(command.done(parsed.words, result))  # noqa: T201 - the result itself shows the version only
    return result


def _list(wb: Workbench, words: Words, line: CommandLine) -> Any:
    if words and words[0] != "archived":
        raise OptionError(
            f"%promptcmd list {words[0]}: the only word there is archived",
            cure=did_you_mean(words[0], ["archived"]) or f"write %promptcmd show {words[0]} for one prompt",
        )
    found = wb.prompts.overview(archived="archived" in words)
    return found.head(line.limit) if line.limit else found


def _history(wb: Workbench, words: Words, line: CommandLine) -> Any:
    found = wb.prompts.history(words[0])
    return found.head(line.limit) if line.limit else found


def _keep(wb: Workbench, words: Words, _: CommandLine) -> Any:
    if len(words) == 2:
        return wb.prompts.keep(*words)
    if not isinstance(wb.last, PromptResult):
        raise OptionError(
            "nothing untitled was called just now",
            cure="write %promptcmd keep scratch/… NAME, or %%prompt -S NAME",
        )
    return wb.prompts.keep(wb.last.prompt.rpartition(" v")[0], words[0])


def _rollback(wb: Workbench, words: Words, _: CommandLine) -> Any:
    ref = parse_ref(words[0])
    version = words[1] if len(words) == 2 else ref.label or ref.version
    if version is None:
        raise OptionError(
            f"to which version of {ref.title!r}?", cure=f"write %promptcmd rollback {ref.title} 3, or a label"
        )
    return wb.prompts.rollback(ref.title, version)


def _unlabel(wb: Workbench, words: Words, _: CommandLine) -> Any:
    wb.prompts.unlabel(*words)
    return wb.prompts.get(words[0])


def _archive(wb: Workbench, words: Words, _: CommandLine) -> Any:
    wb.prompts.archive(words[0])
    return wb.prompts.get(words[0])


def _search(wb: Workbench, words: Words, line: CommandLine) -> Any:
    text, limit, filters = " ".join(words), line.limit or 20, _filters(line)
    other = {"tag", "label"} if line.outputs else {"prompt", "status"}
    if wrong := other & {*filters}:
        kind = "answers" if line.outputs else "prompts"
        raise OptionError(f"--{wrong.pop()} does not narrow a search in {kind}", cure="leave it out")
    return (wb.search_outputs if line.outputs else wb.prompts.search)(text, limit, **filters)


def _filters(line: CommandLine) -> dict[str, Any]:
    values = {option.field: getattr(line, option.field) for option in COMMAND_FILTERS}
    return {name: value for name, value in values.items() if value is not None}


def _models(wb: Workbench, words: Words, _: CommandLine) -> Any:
    return wb.models.guide(words[0]) if words else wb.models.frame()


def _library(wb: Workbench, words: Words, _: CommandLine) -> Any:
    if not words:
        return wb.library.list()
    if words[0] in set(wb.library.list()["category"]):
        return wb.library.list(words[0])
    return wb.library.get(words[0])


def _import(wb: Workbench, words: Words, line: CommandLine) -> Any:
    progress = None if line.quiet else Counting("importing")
    return wb.exchange.import_file(words[0], format=_second(words), progress=progress)


def _export(wb: Workbench, words: Words, line: CommandLine) -> Any:
    progress = None if line.quiet else Counting("exporting")
    return wb.exchange.export(words[0], format=_second(words), progress=progress)


def _tags(_: Words, version: PromptVersion) -> str:
    return f"{version.ref}: {', '.join(version.tags) or 'no tags'}"


def _runs(wb: Workbench, words: Words, line: CommandLine) -> Any:
    return wb.runs.get(words[0]) if words else wb.runs.list(line.limit or 20)


def _second(words: Words) -> str | None:
    return words[1] if len(words) > 1 else None


COMMANDS: Final[dict[str, Command]] = {
    "list": Command(0, 1, _list),
    "show": Command(1, 1, lambda wb, words, _: wb.prompts.get(words[0])),
    "history": Command(1, 1, _history),
    "diff": Command(1, 2, lambda wb, words, _: wb.prompts.compare(*words)),
    "label": Command(
        2, 2, lambda wb, words, _: wb.prompts.label(*words), lambda words, done: f"{words[1]} is {done.ref}"
    ),
    "unlabel": Command(2, 2, _unlabel, lambda words, done: f"{done.title} has no label {words[1]} any more"),
    "rollback": Command(1, 2, _rollback, lambda _, done: f"latest is {done.ref}"),
    "fork": Command(
        2,
        2,
        lambda wb, words, _: wb.prompts.fork(*words),
        lambda words, done: f"{done.ref} has the content of {words[0]}",
    ),
    "tree": Command(1, 1, lambda wb, words, _: wb.prompts.tree(words[0])),
    "rename": Command(
        2,
        2,
        lambda wb, words, _: wb.prompts.rename(*words),
        lambda words, done: f"{words[0]} is now {done.title}",
    ),
    "archive": Command(
        1,
        1,
        _archive,
        lambda _, done: (
            f"{done.title} is archived; the way back: %promptcmd restore {shlex.quote(done.title)}"
        ),
    ),
    "restore": Command(
        1, 1, lambda wb, words, _: wb.prompts.restore(words[0]), lambda _, done: f"{done.title} is back"
    ),
    "tag": Command(2, None, lambda wb, words, _: wb.prompts.tag(words[0], words[1:]), _tags),
    "untag": Command(2, None, lambda wb, words, _: wb.prompts.tag(words[0], remove=words[1:]), _tags),
    "note": Command(
        2, 2, lambda wb, words, _: wb.prompts.note(*words), lambda _, done: f"{done.ref}: {done.note}"
    ),
    "keep": Command(1, 2, _keep, lambda _, done: f"kept as {done.ref}"),
    "load": Command(1, 2, lambda wb, words, _: wb.prompts.load(words[0], _second(words))),
    "library": Command(0, 1, _library),
    "use": Command(1, 2, lambda wb, words, _: wb.library.use(words[0], _second(words))),
    "models": Command(0, 1, _models),
    "import": Command(1, 2, _import),
    "export": Command(1, 2, _export),
    "search": Command(1, None, _search),
    "stats": Command(0, 0, lambda wb, _, __: wb.stats()),
    "runs": Command(0, 1, _runs),
    "cost": Command(0, 0, lambda wb, _, __: wb.frames.costs()),
}
