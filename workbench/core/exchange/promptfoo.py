"""promptfoo's configuration files: prompts, providers, test cases and assertions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

from workbench.core.exchange.chat import model_id, settings_from, turns_from
from workbench.core.exchange.documents import load_json, load_yaml
from workbench.core.exchange.promptfoo_tests import read_tests
from workbench.core.exchange.records import Found, PromptRecord, mapping, short_title, text_field
from workbench.core.exchange.syntax import from_jinja
from workbench.core.values import plain
from workbench.errors import DataError, InputError

__all__ = ["Files", "is_promptfoo", "read_promptfoo"]

_FILE: Final = "file://"
_PROGRAMS: Final = (".js", ".cjs", ".mjs", ".ts", ".cts", ".mts", ".py", ".rb", ".go", ".sh", ".exe", ".bat")
_REMOTE: Final = ("langfuse://", "portkey://", "helicone://", "package:", "exec:", "http://", "https://")
_SEPARATOR: Final = re.compile(r"^---[ \t]*$", re.MULTILINE)
_PATH: Final = re.compile(r"[^\n{}]{1,200}\.(?:txt|md|json|jsonl|yaml|yml|csv|j2)")
_ENDING: Final = re.compile(r"\.\w+$")
_CHAT: Final = ("chat:", "messages:", "completion:", "responses:")
#: The description and the labels that our own export writes, and the value of a variable that it leaves open.
_OURS: Final = re.compile(r"[0-9]+ prompts of the workbench")
_LABEL: Final = re.compile(r"(.+)@([1-9][0-9]{0,8})")
_BLANK: Final = "…"
_MARKS: Final = (
    "providers",
    "targets",
    "tests",
    "defaultTest",
    "scenarios",
    "evaluateOptions",
    "description",
)


class Files(Protocol):
    """The files that a configuration may refer to: those below its own folder."""

    def names(self, pattern: str) -> list[str]:
        """Return the files that a path or pattern names, sorted; raises DataError outside the folder."""

    def text(self, name: str) -> str:
        """Return a file's text; raises DataError when it cannot be read."""


def is_promptfoo(document: Any) -> bool:
    """Whether a JSON or YAML object is a configuration, or an evaluation that was written to a file."""
    if not isinstance(document, dict):
        return False
    if isinstance(document.get("config"), dict) and "results" in document:
        return "prompts" in document["config"]
    return "prompts" in document and any(name in document for name in _MARKS)


def read_promptfoo(document: Any, files: Files, *, name: str) -> Found:
    """Read a configuration.

    Args:
        document: what its YAML or JSON says.
        files: what ``file://`` may reach.
        name: the file's name without its ending; titles of prompts without a label begin with it.

    Raises:
        DataError: it is no configuration.

    """
    if not is_promptfoo(document):
        raise DataError("this is no promptfoo configuration", cure="it has the keys prompts and providers")
    evaluated = "results" in document and isinstance(document.get("config"), dict)
    config = document["config"] if evaluated else document
    prompts = _evaluated(document["results"]) if evaluated else None
    found = Found()
    title = short_title(str(config.get("description") or "")) or name
    ours = _OURS.fullmatch(str(config.get("description") or "")) is not None
    settings = _settings(config.get("providers", config.get("targets")), found)
    for number, (place, entry) in enumerate(_entries(prompts or config["prompts"]), 1):
        with found.trying(place):
            _Prompts(files, found, settings, f"{title} {number}", ours=ours).read(place, entry)
    if ours:
        config = {**config, "tests": _without_blanks(config.get("tests"))}
    read_tests(config, files, found, name=title)
    return found


class _Prompts:
    """Reads one entry of ``prompts``, which may stand for several prompts."""

    def __init__(
        self, files: Files, found: Found, settings: Mapping[str, Any], title: str, *, ours: bool = False
    ) -> None:
        self._ours = ours
        self._files = files
        self._found = found
        self._settings = settings
        self._title = title

    def read(self, place: str, entry: Any) -> None:
        label, config = "", None
        if isinstance(entry, Mapping):
            fields = mapping(entry, place)
            label, config = str(fields.get("label") or ""), fields.get("config")
            entry = fields.get("raw", fields.get("id"))
        text = text_field(entry, "the prompt")
        if text.startswith(_REMOTE):
            raise DataError(f"{text!r:.100} is kept elsewhere", cure="export it there, and import that")
        names = self._names(text)
        if names is None:
            exported = _LABEL.fullmatch(label) if self._ours else None
            title, version = (exported[1], int(exported[2])) if exported else (short_title(label), None)
            self._take(place, text, title or self._title, config, version=version)
            return
        for each in names:
            with self._found.trying(each):
                self._file(each, short_title(label), config, several=len(names) > 1)

    def _names(self, text: str) -> list[str] | None:
        """Return the files that an entry names, or None when it is the prompt itself."""
        if text.startswith(_FILE):
            names = self._files.names(text.removeprefix(_FILE))
            if not names:
                raise DataError(
                    f"there is no file {text.removeprefix(_FILE)!r:.200} beside the configuration"
                )
            return names
        if _PATH.fullmatch(text.strip()):
            return self._files.names(text.strip()) or None
        return None

    def _file(self, name: str, label: str, config: Any, *, several: bool) -> None:
        ending = _ENDING.search(name)
        kind = ending[0].lower() if ending else ""
        if kind in _PROGRAMS or ":" in name:
            raise DataError("a prompt that a program writes cannot be imported", cure="write its text out")
        stem = _ENDING.sub("", name)
        title = f"{label}/{stem}" if label and several else label or stem
        texts = self._texts(name, kind)
        for number, (text, own) in enumerate(texts, 1):
            place = f"{name}, prompt {number}" if len(texts) > 1 else name
            with self._found.trying(place, title):
                self._take(
                    place,
                    text,
                    short_title(own) or (f"{title} {number}" if len(texts) > 1 else title),
                    config,
                )

    def _texts(self, name: str, kind: str) -> list[tuple[str, str]]:
        """Return (prompt, its own label) for each prompt in a file."""
        text = self._files.text(name)
        if kind == ".csv":
            from workbench.core.exchange.promptfoo_tests import csv_rows

            return [
                (row["prompt"], row.get("label") or "") for row in csv_rows(text, name) if row.get("prompt")
            ]
        if kind == ".jsonl":
            return [(line, "") for line in text.split("\n") if line.strip()]
        if kind in {".yaml", ".yml"}:
            return [(json.dumps(plain(load_yaml(text, what=name), what=name), ensure_ascii=False), "")]
        if kind == ".txt":
            return [(part.strip(), "") for part in _SEPARATOR.split(text) if part.strip()]
        return [(text.strip(), "")]

    def _take(self, place: str, text: str, title: str, config: Any, *, version: int | None = None) -> None:
        own, rest = settings_from(config, what="the prompt's config")
        if rest:
            self._found.note(place, f"of its config is kept as origin only: {', '.join(rest)}", title)
        content, left = _content(text)
        for note in left:
            self._found.note(place, note, title)
        self._found.add(
            PromptRecord(
                place=place,
                title=title,
                content=content,
                version=version,
                settings={**self._settings, **own},
                tags=("promptfoo",),
                origin={"config": rest} if rest else {},
            )
        )


def _without_blanks(tests: Any) -> Any:
    """Return the tests without the one that our export wrote only because promptfoo wants one."""
    if not isinstance(tests, list):
        return tests
    return [
        test
        for test in tests
        if not (
            isinstance(test, dict)
            and {*test} <= {"vars"}
            and {*dict(test.get("vars") or {}).values()} <= {_BLANK}
        )
    ]


def _evaluated(results: Any) -> list[dict[str, Any]]:
    """Return the prompts of an evaluation: their texts stand there, while the configuration names its own paths."""
    listed = results.get("prompts") if isinstance(results, dict) else None
    found: dict[str, dict[str, Any]] = {}
    for each in listed if isinstance(listed, list) else []:
        if isinstance(each, dict) and isinstance(each.get("raw"), str):
            raw, label = each["raw"], str(each.get("label") or "")
            found.setdefault(raw, {"raw": raw, "label": "" if raw in label else label})
    return list(found.values())


def _entries(prompts: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(prompts, str):
        prompts = [prompts]
    if isinstance(prompts, Mapping):  # an old form: path → label
        prompts = [{"id": f"{_FILE}{path}", "label": label} for path, label in prompts.items()]
    if not isinstance(prompts, list):
        raise DataError("the prompts are no list", cure="write prompts: [ … ]")
    for number, entry in enumerate(prompts, 1):
        yield f"prompt {number}", entry


def _content(text: str) -> tuple[str, list[str]]:
    """Return the text of a prompt: a JSON list of messages is a chat, anything else one user's message."""
    if text.lstrip().startswith("["):
        try:
            messages = load_json(text, what="the prompt")
        except DataError:
            messages = None
        if (
            isinstance(messages, list)
            and messages
            and all(isinstance(each, dict) and "role" in each for each in messages)
        ):
            return turns_from(messages, from_jinja)
    return turns_from([{"role": "user", "content": text}], from_jinja)


def _settings(providers: Any, found: Found) -> dict[str, Any]:
    """Return the settings where there is one provider that has a model here."""
    listed = providers if isinstance(providers, list) else [] if providers is None else [providers]
    read = [_provider(each) for each in listed]
    models = [(name, settings) for name, settings in read if settings.get("model")]
    unknown = [name for name, settings in read if not settings.get("model")]
    if unknown:
        found.note("providers", f"no model here is called {', '.join(unknown)[:200]}; choose one with -m")
    if len(models) == 1 and not unknown:
        return models[0][1]
    if models:
        chosen = " ".join(f"-m {settings['model']}" for _, settings in models)
        found.note("providers", f"there are several, so no prompt has one of its own; run with: {chosen}")
    return {}


def _provider(entry: Any) -> tuple[str, dict[str, Any]]:
    config: Any = None
    if isinstance(entry, Mapping):
        single = next(iter(entry.items())) if len(entry) == 1 and "id" not in entry else None
        name, config = (
            (str(single[0]), (single[1] or {}).get("config") if isinstance(single[1], Mapping) else None)
            if single
            else (str(entry.get("id", "")), entry.get("config"))
        )
    else:
        name = str(entry)
    vendor, _, model = name.partition(":")
    for kind in _CHAT:
        model = model.removeprefix(kind)
    mapped = model_id(model, vendor=vendor if vendor != "openrouter" else "") if model else None
    try:
        settings, _ = settings_from({} if config is None else config, what="the provider's config")
    except InputError:
        settings = {}
    return name, {**settings, "model": mapped} if mapped else {}
