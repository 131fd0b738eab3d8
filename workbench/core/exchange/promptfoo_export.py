"""Prompts as a configuration that promptfoo runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import yaml

from workbench.core.body import parse_body
from workbench.core.exchange.records import Found, PromptRecord
from workbench.core.exchange.syntax import to_nunjucks

__all__ = ["write_promptfoo"]

_HEAD: Final = "# yaml-language-server: $schema=https://promptfoo.dev/config-schema.json\n"
#: Answers with the prompt itself, at no cost: it stands where no prompt names a model.
_ECHO: Final = "echo"
_PREFIXES: Final = {"openrouter/": "openrouter:", "openai-direct/": "openai:chat:", "ollama/": "ollama:chat:"}
_OURS: Final = ("local/", "fake/")


def write_promptfoo(records: Sequence[PromptRecord], names: Mapping[str, Sequence[str]], found: Found) -> str:
    """Return the YAML of a configuration with one prompt for each record.

    Args:
        records: versions with their numbers.
        names: place of a record → the variables that it reads.
        found: takes notes of what promptfoo reads otherwise.

    """
    prompts = []
    for record in records:
        ref = f"{record.title}@{record.version}"
        raw, missing = _raw(record)
        if missing:
            found.note(record.place, f"nunjucks has no {', '.join(missing)}", ref)
        prompts.append({"label": ref, "raw": raw})
    variables = sorted({name for record in records for name in names[record.place]})
    config: dict[str, Any] = {
        "description": f"{len(records)} prompts of the workbench",
        "prompts": prompts,
        "providers": _providers(records, found),
        "tests": [{"vars": dict.fromkeys(variables, "…")}] if variables else [{}],
    }
    return _HEAD + yaml.dump(config, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=10_000)


def _raw(record: PromptRecord) -> tuple[str, Sequence[str]]:
    """Return a text, or for several turns the JSON of a chat: promptfoo fills in values inside its texts."""
    body = parse_body(record.content, system=record.system_prompt)
    turns = [("system", body.system)] if body.system else []
    turns += [(message.role, message.text) for message in body.messages]
    written = [(role, *to_nunjucks(text or "")) for role, text in turns]
    missing = list(dict.fromkeys(each for _, _, group in written for each in group))
    if len(written) == 1 and not written[0][1].lstrip().startswith(("[", "{", "file://")):
        return written[0][1], missing
    return json.dumps(
        [{"role": role, "content": text} for role, text, _ in written], ensure_ascii=False, indent=2
    ), missing


def _providers(records: Iterable[PromptRecord], found: Found) -> list[Any]:
    providers: dict[str, Any] = {}
    for record in records:
        options = {name: value for name, value in record.settings.items() if name != "model"}
        models = record.settings.get("model") or []
        for model in [models] if isinstance(models, str) else models:
            name = _provider(str(model))
            if name == _ECHO:
                found.note(record.place, f"promptfoo has no {model}", f"{record.title}@{record.version}")
            else:
                providers.setdefault(name, {"id": name, "config": options} if options else name)
    return list(providers.values()) or [_ECHO]


def _provider(model: str) -> str:
    if model.startswith(_OURS):
        return _ECHO
    for prefix, theirs in _PREFIXES.items():
        if model.startswith(prefix):
            return theirs + model.removeprefix(prefix)
    return f"openrouter:{model}"


class _Dumper(yaml.SafeDumper):
    """Writes every value out, and texts of several lines as blocks."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base's signature
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
