"""Other tools' template marks, written as ours.

Ours is a part of Jinja's: ``{{ name }}``, ``{% … %}``, comments ``{## … ##}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from workbench.errors import DataError

__all__ = [
    "from_dollars",
    "from_jinja",
    "from_langfuse_references",
    "from_mustache",
    "literal",
    "to_nunjucks",
]

_MARK: Final = re.compile(r"\{\{|\{%|\{##")
_NAME: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_PAIR: Final = re.compile(r"\{\{(?P<name>[^{}\n]*)\}\}")
_LANGFUSE: Final = re.compile(r"@@@langfusePrompt:(?P<parts>[^@]+)@@@")
_OPEN: Final = re.compile(r"\{(?:\{|%|#)")
_RAW_OPEN: Final = re.compile(r"\{%[-+]?\s{0,9}raw\s{0,9}-?%\}")
_RAW_CLOSE: Final = re.compile(r"\{%[-+]?\s{0,9}endraw\s{0,9}[-+]?%\}")
_LAST_TAG: Final = re.compile(r"\{%[-+]?\s*endraw")
_PLUS: Final = re.compile(r"(?<=\A\{)%\+|\+%(?=\}\Z)")
_INDENT: Final = re.compile(r"[^\S\n]+\Z")
#: Words that an expression reads in its own way.
_WORDS: Final = frozenset(
    "and or not in is if else true false none True False None loop".split()  # noqa: SIM905 - reads better
)
_DUMP: Final = re.compile(r"\|\s*dump\b")
_COUNT: Final = re.compile(r"\|\s*count\b")
_TOJSON: Final = re.compile(r"\|\s*tojson\b")
_DOLLAR: Final = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<named>[_a-zA-Z][_a-zA-Z0-9]*)|\{(?P<braced>[_a-zA-Z][_a-zA-Z0-9]*)\}|(?P<bad>))"
)
#: What our templates have and nunjucks has not.
_ONLY_OURS: Final = re.compile(
    r"\|\s*(?P<filter>items|unique)\b|\bis\s+(?:not\s+)?(?P<test>boolean|sequence)\b"
)


def literal(text: str) -> str:
    """Return a template that prints exactly this text.

    Marks become printed texts: tags such as ``{% raw %}`` would swallow the white space around them.

    >>> literal("JSON: {{}}")
    "JSON: {{ '{{' }}}}"
    """
    # promptfoo takes a text in which {% or {# opens and does not close for one without any tags.
    return _MARK.sub(
        lambda mark: _printed("{{") if mark[0] == "{{" else f"{_printed('{')}{mark[0][1:]}", text
    )


def from_mustache(text: str, *, any_name: bool = True) -> tuple[str, dict[str, str]]:
    """Return the template of a text in which only ``{{name}}`` has a meaning, and the names that had to change.

    Args:
        text: the other tool's template.
        any_name: whether ``{{first name}}`` is a variable there; else it is text.

    >>> from_mustache("Hello {{ first name }}, {% this is text %}")
    ("Hello {{ first_name }}, {{ '{' }}% this is text %}", {'first name': 'first_name'})
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


def from_jinja(text: str) -> str:
    """Return a template of Jinja or nunjucks as ours, to the last space: ours drops the line end after a tag.

    >>> from_jinja("{# why #}{{ doc | dump }}")
    '{## why ##}{{ doc | tojson }}'
    """
    pieces, end = [], 0
    for tag in _tags(text, comments="#"):
        before, written = text[end : tag.start], tag.text
        pieces.append(before)
        first, end = end == 0, tag.end
        if tag.kind == "print":
            pieces.append(_DUMP.sub("| tojson", written))
            continue
        indented = _indented(before, first=first)
        lined = text[end : end + 1] == "\n"
        if tag.kind == "comment":
            head, inner, tail = _comment(written)
            pieces.append(f"{{##{head or '+' * indented} {inner} {tail or '+' * lined}##}}")
        elif tag.kind == "raw":
            last = _LAST_TAG.search(written)
            place = last.start() if last else 0
            inside = _indented(written[:place], first=False)
            pieces.append(
                _opened(written[:place], plus=indented)
                + _closed(_opened(written[place:], plus=inside), plus=lined)
            )
        else:
            pieces.append(_closed(_opened(_DUMP.sub("| tojson", written), plus=indented), plus=lined))
    return "".join([*pieces, text[end:]])


def to_nunjucks(text: str) -> tuple[str, Sequence[str]]:
    """Return one of our templates as nunjucks, to the last space, and what it uses that nunjucks has not.

    >>> to_nunjucks("{## why ##}{{ doc | tojson }} {# LaTeX")
    ("{# why #}{{ doc | dump }} {{ '{' }}# LaTeX", [])
    """
    pieces, end, drop = [], 0, False
    missing: list[str] = []
    for tag in _tags(text, comments="##"):
        before, written = text[end : tag.start][drop:], tag.text
        first = drop or end == 0
        end, drop = tag.end, False
        if tag.kind != "print":
            if written.lstrip("{%#")[:1] not in {"+", "-"}:
                before = _unindented(before, first=first)
            drop = text[end : end + 1] == "\n" and re.search(r"[-+](?:##|%)\}\Z", written) is None
        pieces.append(_text_to_nunjucks(before))
        if tag.kind == "comment":
            head, inner, tail = _comment(written.replace("##", "#"))
            pieces.append(f"{{#{head} {' '.join(inner.split())} {tail}#}}")
        else:
            missing += [
                f"| {each['filter']}" if each["filter"] else f"is {each['test']}"
                for each in _ONLY_OURS.finditer(written)
            ]
            pieces.append(_tag_to_nunjucks(written, raw=tag.kind == "raw"))
    pieces.append(_text_to_nunjucks(text[end:][drop:]))
    return "".join(pieces), list(dict.fromkeys(missing))


@dataclass(frozen=True, slots=True)
class _Tag:
    kind: str
    start: int
    text: str

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def _tags(text: str, *, comments: str) -> Iterator[_Tag]:
    """Give the tags of a template in order; one that does not close is text. What raw marks enclose is one tag.

    A close that was not found once is not looked for again, so that the time grows with the text only.

    Args:
        text: the template.
        comments: what comments begin with after their brace: ``#``, in ours ``##``.

    """
    comment = f"{{{comments}"
    closes = {"{{": ("print", "}}"), "{%": ("block", "%}"), comment: ("comment", f"{comments}}}")}
    unclosed: set[str] = set()
    place = 0
    while opened := _OPEN.search(text, place):
        start = opened.start()
        mark = comment if text.startswith(comment, start) else opened[0]
        place = start + len(mark)
        raw = _RAW_OPEN.match(text, start)
        if raw and "raw" not in unclosed:
            closed = _RAW_CLOSE.search(text, raw.end())
            if closed is not None:
                place = closed.end()
                yield _Tag("raw", start, text[start:place])
                continue
            unclosed.add("raw")
        if mark not in closes or mark in unclosed:
            continue
        kind, close = closes[mark]
        found = text.find(close, place)
        if found < 0:
            unclosed.add(mark)
            continue
        place = found + len(close)
        yield _Tag(kind, start, text[start:place])


def _indented(before: str, *, first: bool) -> bool:
    """Whether only white space, and some, stands before a tag on its line."""
    line = before.rpartition("\n")[2]
    return bool(line) and line.isspace() and (first or "\n" in before)


def _unindented(before: str, *, first: bool) -> str:
    return _INDENT.sub("", before) if _indented(before, first=first) else before


def _opened(tag: str, *, plus: bool) -> str:
    return f"{{%+{tag[2:]}" if plus and tag[2:3] not in {"-", "+"} else tag


def _closed(tag: str, *, plus: bool) -> str:
    return f"{tag[:-2]}+%}}" if plus and tag[-3] not in {"-", "+"} else tag


def _comment(tag: str) -> tuple[str, str, str]:
    """Return a comment's dash at its start, its text, and the dash at its end."""
    inner = tag[2:-2]
    head = "-" if inner.startswith("-") else ""
    tail = "-" if inner.endswith("-") and len(inner) > 1 else ""
    return head, inner.strip("-+").strip().replace("#}", "# }"), tail


def _text_to_nunjucks(text: str) -> str:
    return text.replace("{#", f"{_printed('{')}#")


def _tag_to_nunjucks(tag: str, *, raw: bool) -> str:
    """Write a tag in one line, and without the plus that nunjucks does not know; promptfoo takes others for text."""
    if raw:
        last = _LAST_TAG.search(tag)
        place = last.start() if last else 0
        inside = (
            tag[:place] if tag[place + 2 : place + 3] in {"+", "-"} else _unindented(tag[:place], first=False)
        )
        return _PLUS.sub("%", inside) + _PLUS.sub("%", tag[place:])
    return _TOJSON.sub("| dump", _COUNT.sub("| length", _PLUS.sub("%", tag))).replace("\n", " ")


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
