"""The options of each magic, as tables, and the help that is made from them."""

from __future__ import annotations

from typing import Final

from workbench.core.front_matter import FORMATS
from workbench.core.refs import check_label, check_title, parse_ref
from workbench.core.scoring import parse_scorer
from workbench.magics.options import (
    Option,
    choice,
    format_options,
    number,
    parameter,
    provider_option,
    text,
    whole,
)

__all__ = [
    "AB_OPTIONS",
    "AB_VERBS",
    "COMMAND_FILTERS",
    "COMMAND_OPTIONS",
    "COMMAND_USAGES",
    "COMMAND_VERBS",
    "EXAMPLES",
    "PROMPT_OPTIONS",
    "format_help",
]


def _scorer(given: str) -> str:
    return parse_scorer(given).text


_HELP: Final = Option(field="help", names=("-h", "--help"), help="show this text")
_YES: Final = Option(field="yes", names=("--yes",), help="start without asking, whatever the plan costs")
_QUIET: Final = Option(field="quiet", names=("-q",), help="show no progress and no grey line")
_MODEL: Final = Option(
    field="models", names=("-m", "--model"), metavar="ID", read=text, many=True, help="model to ask"
)
_DATA: Final = Option(
    field="data", names=("-d", "--data"), metavar="NAME", read=text,
    help="rows: a DataFrame, a saved query, or a dataset (@NAME a dataset only)",
)  # fmt: skip
_CHECK: Final = Option(
    field="checks", names=("-c", "--check"), metavar="SCORER", read=_scorer, many=True,
    help="score answers, such as equals:@label",
)  # fmt: skip
_SAMPLES: Final = Option(
    field="samples", names=("-r", "--samples"), metavar="N", read=whole(1, 1_000), help="answers per case"
)
_BUDGET: Final = Option(
    field="budget",
    names=("--budget",),
    metavar="USD",
    read=number(0, above=True),
    help="never spend more than this",
)

PROMPT_OPTIONS: Final = (
    _MODEL,
    Option(field="system", names=("-s", "--system"), metavar="TEXT", help="system prompt"),
    Option(
        field="parameters", names=("-p",), metavar="K=V", read=parameter, pairs=True,
        help="variable: text, K:=JSON, or K=@variable of the notebook",
    ),
    Option(
        field="options", names=("-o",), metavar="K=V", read=provider_option, pairs=True,
        help="option by the provider's own name, or K:=JSON",
    ),
    Option(field="temperature", names=("-t", "--temperature"), metavar="T", read=number(0, 2), help="from 0 to 2"),
    Option(field="max_tokens", names=("--max-tokens",), metavar="N", read=whole(1), help="longest answer"),
    Option(field="seed", names=("--seed",), metavar="N", read=whole(-(2**63), 2**63 - 1), help="seed of the sampling"),
    Option(
        field="format", names=("-f", "--format"), metavar="FORMAT", read=choice(*FORMATS),
        help=f"how the answer is shown: {', '.join(FORMATS)}",
    ),
    Option(field="schema", names=("--schema",), metavar="NAME", read=text, help="JSON schema of the answer"),
    _DATA,
    _SAMPLES,
    Option(
        field="concurrency", names=("-j", "--concurrency"), metavar="N", read=whole(1, 1_024), help="calls at a time"
    ),
    _CHECK,
    Option(
        field="judges", names=("--judge",), metavar="RUBRIC", read=text, many=True, help="let a model score answers"
    ),
    Option(field="vs", names=("--vs",), metavar="VERSION", read=text, help="compare with this label or version of the same prompt"),
    Option(field="save_as", names=("-S",), metavar="NAME", read=check_title, help="save under this title"),
    Option(field="no_execute", names=("-N", "--no-execute"), help="save, and ask no model"),
    Option(
        field="includes", names=("-w", "--with"), metavar="REF", read=parse_ref, many=True,
        help="saved prompt to build on",
    ),
    Option(
        field="attach", names=("--attach",), metavar="FILE", read=text, many=True,
        help="picture or PDF: path, URL or @variable; with -d its column",
    ),
    Option(field="source", names=("--from",), metavar="FILE", read=text, help="read the prompt from a file"),
    Option(field="label", names=("--label",), metavar="LABEL", read=check_label, help="put this label on the version"),
    Option(field="tags", names=("--tag",), metavar="TAG", read=text, many=True, help="tag of the prompt"),
    Option(field="note", names=("--note",), metavar="TEXT", help="why this version was made"),
    _BUDGET,
    Option(field="dry_run", names=("--dry-run",), help="calls, tokens, dollars and minutes; nothing is sent"),
    Option(field="no_cache", names=("--no-cache",), help="take no answer from the cache"),
    Option(field="fresh", names=("--fresh",), help="start a new run, even if one is unfinished"),
    Option(field="retry_errors", names=("--retry-errors",), help="ask again where a call has failed"),
    Option(field="background", names=("--bg",), help="go on with the notebook while it runs"),
    Option(field="raw", names=("--raw",), help="show the answer as plain text"),
    _YES,
    _QUIET,
    _HELP,
)  # fmt: skip

AB_VERBS: Final = ("plan", "run", "show", "confirm", "stop", "list")

AB_OPTIONS: Final = (
    _DATA,
    Option(
        field="metric", names=("--metric",), metavar="NAME", read=text,
        help="what decides: pass, score, cost, latency, tokens, or a scorer",
    ),
    _BUDGET,
    Option(field="mde", names=("--mde",), metavar="X", read=number(0, above=True), help="smallest effect that matters"),
    Option(
        field="margin", names=("--margin",), metavar="X", read=number(0, above=True),
        help="margin of equivalence or non-inferiority",
    ),
    Option(field="alpha", names=("--alpha",), metavar="P", read=number(0, 0.5, above=True), help="error rate (0.05)"),
    Option(field="power", names=("--power",), metavar="P", read=number(0.5, 0.9999), help="wanted power (0.8)"),
    Option(
        field="design", names=("--design",), metavar="NAME", read=choice("fixed", "anytime", "group_sequential"),
        help="fixed, anytime or group_sequential",
    ),
    _MODEL,
    _CHECK,
    _SAMPLES,
    Option(field="name", names=("--name",), metavar="NAME", read=check_title, help="name of the test"),
    Option(field="holdout", names=("--holdout",), help="confirm on the locked hold-out"),
    Option(
        field="guards", names=("--guard",), metavar="NAME", read=text, many=True, help="metric that must not get worse"
    ),
    _YES,
    _QUIET,
    _HELP,
)  # fmt: skip

#: Verb → how its words are written.
COMMAND_USAGES: Final = {
    "list": "[archived]",
    "show": "TITLE@3",
    "history": "TITLE",
    "diff": "TITLE@1 [TITLE@2]",
    "label": "TITLE@3 NAME",
    "unlabel": "TITLE NAME",
    "rollback": "TITLE 3",
    "fork": "TITLE@3 NEW_TITLE",
    "tree": "TITLE",
    "rename": "TITLE NEW_TITLE",
    "archive": "TITLE",
    "restore": "TITLE",
    "tag": "TITLE@3 TAG …",
    "untag": "TITLE@3 TAG …",
    "note": "TITLE@3 'why'",
    "keep": "[scratch/…] NAME",
    "load": "FILE [TITLE]",
    "library": "[CATEGORY or TEMPLATE]",
    "use": "TEMPLATE [TITLE]",
    "models": "[MODEL]",
    "import": "FILE [FORMAT]",
    "export": "FILE or FOLDER [FORMAT]",
    "search": "WORD … [--outputs]",
    "stats": "",
    "runs": "[RUN]",
    "cost": "",
}
COMMAND_VERBS: Final = tuple(COMMAND_USAGES)

#: What narrows ``search``.
COMMAND_FILTERS: Final = (
    Option(field="tag", names=("--tag",), metavar="TAG", read=text, help="search: prompts with this tag"),
    Option(field="label", names=("--label",), metavar="LABEL", read=text, help="search: versions with this label"),
    Option(field="project", names=("--project",), metavar="NAME", read=text, help="search: only in this project"),
    Option(field="model", names=("--model",), metavar="ID", read=text, help="search: only of this model"),
    Option(field="since", names=("--since",), metavar="DATE", read=text, help="search: from then on"),
    Option(field="until", names=("--until",), metavar="DATE", read=text, help="search: up to then, the day included"),
    Option(field="prompt", names=("--prompt",), metavar="REF", read=text, help="search --outputs: answers to this prompt"),
    Option(field="status", names=("--status",), metavar="STATUS", read=text, help="search --outputs: such as done or failed"),
)  # fmt: skip

COMMAND_OPTIONS: Final = (
    Option(
        field="limit",
        names=("-n", "--limit"),
        metavar="N",
        read=whole(1, 10_000),
        help="show at most so many",
    ),
    Option(field="outputs", names=("--outputs",), help="search in answers instead of prompts"),
    *COMMAND_FILTERS,
    _YES,
    _QUIET,
    _HELP,
)

_PROMPT_EXAMPLES: Final = (
    "%%prompt summarise -m openai/gpt-4o-mini -t 0 --note 'first try'",
    "%%prompt ans << tone -d reviews -c equals:@label --vs prod",
    "%prompt summarise@prod -p title='Q3 report' -p rows:='[1, 2]' -p doc=@doc",
    "%prompt run1 << classify -d df -r 3 -j 8 --budget 0.50 -c equals:@label --judge helpful",
    "%prompt classify@3 -d df -m openai/gpt-4o --dry-run",
    "%prompt extract -d df -c 'regex:\\d+'",
    "%prompt describe --attach photo.png --attach https://example.org/plan.pdf",
)

#: Lines that parse, by magic; help prints them and a test parses them.
EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "prompt": _PROMPT_EXAMPLES,
    "ab": (
        "%ab plan classify@3 classify@4 -d reviews --mde 0.05",
        "%ab res << run classify@3 classify@4 -d reviews --metric pass --budget 2",
        "%ab confirm res --holdout",
        "%ab show res",
        "%ab stop res",
        "%ab list",
    ),
    "promptcmd": (
        "%promptcmd list",
        "%promptcmd diff classify@3 classify@4",
        "%promptcmd label classify@4 prod",
        "%promptcmd rollback classify 3",
        "%promptcmd fork classify@3 classify-short",
        "%promptcmd note classify@4 'fewer false alarms'",
        "%promptcmd search '\"late payment\" or refund -draft' --tag support -n 10",
        "%promptcmd use route-ticket support/route",
        "%promptcmd import promptfooconfig.yaml",
        "%promptcmd export prompts/",
    ),
}

_USAGE: Final[dict[str, tuple[str, tuple[Option, ...]]]] = {
    "prompt": (
        """%prompt [NAME <<] [TITLE | TITLE@3 | TITLE@LABEL] [options]
%%prompt [NAME <<] [TITLE] [options], with the prompt below""",
        PROMPT_OPTIONS,
    ),
    "ab": (f"%ab [NAME <<] {' | '.join(AB_VERBS)} [PROMPT …] [options]", AB_OPTIONS),
    "promptcmd": (
        "%promptcmd [NAME <<] VERB [WORD …] [options]\n\nVerbs:\n"
        + "\n".join(f"  {verb:10} {words}".rstrip() for verb, words in COMMAND_USAGES.items()),
        COMMAND_OPTIONS,
    ),
}


def format_help(magic: str = "prompt") -> str:
    """Return the help of a magic: usage, options and examples.

    Args:
        magic: ``"prompt"``, ``"ab"`` or ``"promptcmd"``, with or without its ``%``.

    """
    name = magic.lstrip("%")
    usage, options = _USAGE[name]
    examples = "\n".join(f"  {example}" for example in EXAMPLES[name])
    return (
        f"{usage}\n\nNAME << keeps the result in a variable; NAME =<< shows it too.\n\n"
        f"Options:\n{format_options(options)}\n\nExamples:\n{examples}\n"
    )
