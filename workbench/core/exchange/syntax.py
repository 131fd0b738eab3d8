"""Other tools' template marks, written as ours.

Ours is a part of Jinja's: ``{{ name }}``, ``{% … %}``, comments ``{## … ##}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from workbench.errors import DataError

__all__ = [
    "from_dollars",
    "from_langfuse_references",
    "from_mustache",
    "from_nunjucks",
    "literal",
    "to_nunjucks",
]

_MARK: Final = re.compile(r"\{\{|\{%|\{##")
_NAME: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_PAIR: Final = re.compile(r"\{\{(?P<name>[^{}\n]*)\}\}")
_LANGFUSE: Final = re.compile(r"@@@langfusePrompt:(?P<parts>[^@]+)@@@")
_COMMENT: Final = re.compile(r"\{#-?(?P<text>.*?)-?#\}", re.DOTALL)
_RAW: Final = re.compile(r"(\{%-?\s*raw\s*-?%\}.*?\{%-?\s*endraw\s*-?%\})", re.DOTALL)
_TAG: Final = re.compile(r"(\{\{.*?\}\}|\{%.*?%\})", re.DOTALL)
#: Words that an expression reads in its own way.
_WORDS: Final = frozenset(
    "and or not in is if else true false none True False None loop".split()  # noqa: SIM905 - reads better
)
_DUMP: Final = re.compile(r"\|\s*dump\b")
_TOJSON: Final = re.compile(r"\|\s*tojson\b")
_OURS: Final = re.compile(r"\{##.*?##\}", re.DOTALL)
_DOLLAR: Final = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<named>[_a-zA-Z][_a-zA-Z0-9]*)|\{(?P<braced>[_a-zA-Z][_a-zA-Z0-9]*)\}|(?P<bad>))"
)
#: What our templates have and nunjucks has not.
_ONLY_OURS: Final = re.compile(
    r"\|\s*(?P<filter>count|items|unique|string)\b|\bis\s+(?:not\s+)?(?P<test>none|boolean|sequence)\b"
)


def literal(text: str) -> str:
    """Return a template that prints exactly this text.

    Marks become printed texts: tags such as ``{% raw %}`` would swallow the white space around them.

    >>> literal("JSON: {{}}")
    "JSON: {{ '{{' }}}}"
    """
    return _MARK.sub(lambda mark: _printed(mark[0]), text)


def from_mustache(text: str, *, any_name: bool = True) -> tuple[str, dict[str, str]]:
    """Return the template of a text in which only ``{{name}}`` has a meaning, and the names that had to change.

    Args:
        text: the other tool's template.
        any_name: whether ``{{first name}}`` is a variable there; else it is text.

    >>> from_mustache("Hello {{ first name }}, {% this is text %}")
    ("Hello {{ first_name }}, {{ '{%' }} this is text %}", {'first name': 'first_name'})
    """
    renamed: dict[str, str] = {}
    pieces, start = [], 0
    for match in _PAIR.finditer(text):
        name = match["name"].strip()
        fits = _NAME.fullmatch(name) is not None and not name.startswith("__") and name not in _WORDS
        if not name or (not fits and not any_name):
            continue
        pieces.append(_before_mark(text[start : match.start()]))
        start = match.end()
        if not fits:
            renamed[name] = _identifier(name)
        pieces.append(match[0] if fits else f"{{{{ {renamed[name]} }}}}")
    pieces.append(literal(text[start:]))
    return "".join(pieces), renamed


def from_langfuse_references(text: str) -> tuple[str, list[str]]:
    """Return a text whose references to other prompts are ``{% include %}`` tags, and what they refer to.

    >>> from_langfuse_references("@@@langfusePrompt:name=tone|label=production@@@ Now:")
    ('{% include "tone@production" %} Now:', ['tone@production'])
    """
    refs: list[str] = []

    def include(match: re.Match[str]) -> str:
        parts = dict(part.partition("=")[::2] for part in match["parts"].split("|"))
        mark = parts.get("version") or parts.get("label") or "production"
        refs.append(f"{parts.get('name', '')}@{mark}")
        return f'{{% include "{refs[-1]}" %}}'

    return _LANGFUSE.sub(include, text), refs


def from_dollars(text: str, defaults: Mapping[str, Any]) -> str:
    """Return the template of a Python ``string.Template``; names with a default keep it.

    Raises:
        DataError: a dollar sign stands before something that is no name.

    >>> from_dollars("Tone of $input in ${style} costs $$5", {"style": "kind"})
    "Tone of {{ input }} in {{ style | default('kind') }} costs $5"
    """
    pieces, start = [], 0
    for match in _DOLLAR.finditer(text):
        pieces.append(_before_mark(text[start : match.start()]))
        start = match.end()
        name = match["named"] or match["braced"]
        if name is None and match["escaped"] is None:
            line = text.count("\n", 0, match.start()) + 1
            raise DataError(f"line {line} of the template has a $ that begins no name", cure="write it as $$")
        pieces.append(_with_default(name, defaults) if name else "$")
    pieces.append(literal(text[start:]))
    return "".join(pieces)


def from_nunjucks(text: str) -> str:
    """Return a nunjucks template as ours: comments, and the filter ``dump``.

    >>> from_nunjucks("{# why #}{{ doc | dump }}")
    '{## why ##}{{ doc | tojson }}'
    """
    parts = _RAW.split(text)
    for place in range(0, len(parts), 2):  # what stands between raw marks is text
        part = _COMMENT.sub(lambda match: f"{{## {match['text'].strip()} ##}}", parts[place])
        parts[place] = _TAG.sub(lambda match: _DUMP.sub("| tojson", match[0]), part)
    return "".join(parts)


def to_nunjucks(text: str) -> tuple[str, Sequence[str]]:
    """Return one of our templates as nunjucks, and what it uses that nunjucks has not.

    >>> to_nunjucks("{## why ##}{{ doc | tojson }} {# LaTeX")
    ("{{ doc | dump }} {{ '{#' }} LaTeX", [])
    """
    parts = _RAW.split(text)
    missing: list[str] = []
    for place in range(0, len(parts), 2):
        pieces = _TAG.split(_OURS.sub("", parts[place]))
        for inner, piece in enumerate(pieces):
            if inner % 2:
                missing += [
                    f"| {found['filter']}" if found["filter"] else f"is {found['test']}"
                    for found in _ONLY_OURS.finditer(piece)
                ]
                pieces[inner] = _TOJSON.sub("| dump", piece)
            else:
                pieces[inner] = piece.replace("{#", _printed("{#"))
        parts[place] = "".join(pieces)
    return "".join(parts), list(dict.fromkeys(missing))


def _printed(mark: str) -> str:
    return f"{{{{ '{mark}' }}}}"


def _before_mark(text: str) -> str:
    """Write a text after which a mark follows: a brace at its end must not join it."""
    done = literal(text)
    return f"{done[:-1]}{_printed('{')}" if done.endswith("{") else done


def _identifier(name: str) -> str:
    word = re.sub(r"\W+", "_", name).strip("_") or "value"
    return f"v_{word}" if word[0].isdigit() or word in _WORDS else word


def _with_default(name: str, defaults: Mapping[str, Any]) -> str:
    if name not in defaults:
        return f"{{{{ {name} }}}}"
    value = defaults[name]
    text = value if isinstance(value, str) else json.dumps(value)
    quoted = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"{{{{ {name} | default('{quoted}') }}}}"
