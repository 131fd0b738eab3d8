"""``%promptcmd``: one row for each verb, from its words to the Workbench's verb."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from workbench.core.refs import parse_ref
from workbench.core.versions import PromptResult
from workbench.errors import OptionError
from workbench.magics.display import Counting
from workbench.magics.tables import COMMAND_USAGES

if TYPE_CHECKING:
    from workbench.magics.grammar import CommandLine
    from workbench.services.workbench import Workbench

__all__ = ["COMMANDS", "Command", "command_of"]

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A verb: how many words it takes, and what it asks for; how it is written stands in ``COMMAND_USAGES``."""

    fewest: int
    most: int | None
    act: Callable[[Workbench, Words, CommandLine], Any]


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
    return command.act(workbench, parsed.words, parsed)


def _list(wb: Workbench, words: Words, line: CommandLine) -> Any:
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
    find = wb.search_outputs if line.outputs else wb.prompts.search
    return find(" ".join(words), line.limit or 20)


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


def _runs(wb: Workbench, words: Words, line: CommandLine) -> Any:
    return wb.runs.get(words[0]) if words else wb.runs.list(line.limit or 20)


def _second(words: Words) -> str | None:
    return words[1] if len(words) > 1 else None


COMMANDS: Final[dict[str, Command]] = {
    "list": Command(0, 1, _list),
    "show": Command(1, 1, lambda wb, words, _: wb.prompts.get(words[0])),
    "history": Command(1, 1, _history),
    "diff": Command(1, 2, lambda wb, words, _: wb.prompts.compare(*words)),
    "label": Command(2, 2, lambda wb, words, _: wb.prompts.label(*words)),
    "unlabel": Command(2, 2, _unlabel),
    "rollback": Command(1, 2, _rollback),
    "fork": Command(2, 2, lambda wb, words, _: wb.prompts.fork(*words)),
    "tree": Command(1, 1, lambda wb, words, _: wb.prompts.tree(words[0])),
    "rename": Command(2, 2, lambda wb, words, _: wb.prompts.rename(*words)),
    "archive": Command(1, 1, _archive),
    "restore": Command(1, 1, lambda wb, words, _: wb.prompts.restore(words[0])),
    "tag": Command(2, None, lambda wb, words, _: wb.prompts.tag(words[0], words[1:])),
    "untag": Command(2, None, lambda wb, words, _: wb.prompts.tag(words[0], remove=words[1:])),
    "note": Command(2, 2, lambda wb, words, _: wb.prompts.note(*words)),
    "keep": Command(1, 2, _keep),
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
