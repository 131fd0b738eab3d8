"""What changed between two versions: lines, words inside them, and the settings around the text."""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

from workbench.core.display import Card, Rich
from workbench.core.versions import PromptVersion

__all__ = ["Diff", "DiffLine", "DiffPart", "Segment", "diff_versions", "line_delta", "shown"]

_CONTEXT: Final = 3
_WORD: Final = re.compile(r"\s+|\w+|[^\w\s]")
#: Above so many tokens a changed block is compared by lines only: comparing words costs their product.
_MAX_WORDS: Final = 4_000
#: Above so many lines, those that stand everywhere are not looked at one by one.
_MAX_LINES: Final = 2_000
#: Lines that have less in common than this are a line out and a line in, not a line that changed.
_ALIKE: Final = 0.35


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a line: ``op`` is ``=`` on both sides, ``-`` only before, ``+`` only after."""

    op: str
    text: str


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line: ``op`` is ``=``, ``-`` or ``+``; ``segments`` show the words that differ."""

    op: str
    segments: tuple[Segment, ...]

    @property
    def text(self) -> str:
        """The whole line."""
        return "".join(segment.text for segment in self.segments)


@dataclass(frozen=True, slots=True)
class DiffPart:
    """One part of a prompt: ``system prompt``, ``text``, ``settings``, ``variables`` or ``includes``."""

    name: str
    lines: tuple[DiffLine, ...]

    @property
    def changed(self) -> bool:
        """Whether anything in it differs."""
        return any(line.op != "=" for line in self.lines)


@dataclass(frozen=True, kw_only=True, slots=True)
class Diff(Rich):
    """What changed from version ``a`` to version ``b``.

    Attributes:
        a: reference of the first version.
        b: reference of the second one.
        parts: those that differ, in the order of a prompt.

    """

    a: str
    b: str
    parts: tuple[DiffPart, ...]

    @property
    def same(self) -> bool:
        """Whether the two have the same content."""
        return not self.parts

    @property
    def added(self) -> int:
        """How many lines came."""
        return sum(line.op == "+" for part in self.parts for line in part.lines)

    @property
    def removed(self) -> int:
        """How many lines went."""
        return sum(line.op == "-" for part in self.parts for line in part.lines)

    @property
    def summary(self) -> str:
        """One line: both references, and how much differs."""
        if self.same:
            return f"{self.a} and {self.b} have the same content"
        where = ", ".join(part.name for part in self.parts)
        return f"{self.a} → {self.b}: +{self.added}/-{self.removed} lines in {where}"

    @property
    def unified(self) -> str:
        """The lines as ``diff -u`` writes them, a section for each part."""
        lines: list[str] = []
        for part in self.parts:
            lines.append(f"@@ {part.name} @@")
            lines += [f"{' ' if line.op == '=' else line.op}{line.text}" for line in shown(part)]
        return "\n".join(lines)

    @property
    def words(self) -> str:
        """The text with every change marked where it stands: ``[-old-]`` and ``{+new+}``."""
        lines: list[str] = []
        for part in self.parts:
            lines.append(f"@@ {part.name} @@")
            lines += _word_lines(part)
        return "\n".join(lines)

    def card(self) -> Card:
        """Return the summary and the unified text; the views show more."""
        return Card(title=self.summary, text=self.unified)

    def __str__(self) -> str:
        return "\n".join(filter(None, (self.summary, self.unified)))


def diff_versions(a: PromptVersion, b: PromptVersion) -> Diff:
    """Compare two versions, of one prompt or of two.

    Example:
        >>> print(diff_versions(tone_1, tone_2))  # doctest: +SKIP
        tone@1 → tone@2: +1/-1 lines in text

    """
    pairs = [(name, one, two) for (name, one), (_, two) in zip(_parts(a), _parts(b), strict=True)]
    parts = tuple(DiffPart(name, _lines(one, two)) for name, one, two in pairs if one != two)
    return Diff(a=a.ref, b=b.ref, parts=parts)


def line_delta(before: PromptVersion, after: PromptVersion) -> str:
    """Return how much text came and went: ``+2/-1 lines``; empty where only settings differ.

    Example:
        >>> line_delta(tone_1, tone_2)  # doctest: +SKIP
        '+2/-1 lines'

    """
    changed = [part for part in diff_versions(before, after).parts if part.name in {"system prompt", "text"}]
    ops = [line.op for part in changed for line in part.lines]
    return f"+{ops.count('+')}/-{ops.count('-')} lines" if changed else ""


def shown(part: DiffPart) -> Iterator[DiffLine]:
    """Yield the lines of a part that differ and those around them; a gap is one line ``…``."""
    near = {
        index + offset
        for index, line in enumerate(part.lines)
        if line.op != "="
        for offset in range(-_CONTEXT, _CONTEXT + 1)
    }
    gap = False
    for index, line in enumerate(part.lines):
        if index in near:
            yield line
        elif not gap:
            yield DiffLine("=", (Segment("=", "…"),))
        gap = index not in near


def _parts(version: PromptVersion) -> list[tuple[str, list[str]]]:
    return [
        ("system prompt", (version.system_prompt or "").splitlines()),
        ("text", version.content.splitlines()),
        ("settings", _mapping(version.settings)),
        ("variables", [_variable(each) for each in version.variables]),
        ("includes", [_include(each.kind, each.ref, each.version) for each in version.includes]),
    ]


def _mapping(values: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}: {json.dumps(values[name], ensure_ascii=False, sort_keys=True)}" for name in sorted(values)
    ]


def _variable(declared: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in declared.items() if name != "name"}
    return f"{declared['name']}: {json.dumps(rest, ensure_ascii=False, sort_keys=True)}"


def _include(kind: str, ref: str, version: PromptVersion | None) -> str:
    pinned = version.ref if version is not None else "?"
    return f"{'builds on' if kind == 'with' else 'includes'} {ref}" + (
        f" = {pinned}" if pinned != ref else ""
    )


def _lines(before: Sequence[str], after: Sequence[str]) -> tuple[DiffLine, ...]:
    lines: list[DiffLine] = []
    # Lines that repeat thousands of times would cost the product of their counts.
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=len(before) + len(after) > _MAX_LINES)
    for op, a1, a2, b1, b2 in matcher.get_opcodes():
        if op == "equal":
            lines += [_whole("=", line) for line in before[a1:a2]]
        else:
            lines += _block(before[a1:a2], after[b1:b2])
    return tuple(lines)


def _block(before: Sequence[str], after: Sequence[str]) -> Iterator[DiffLine]:
    """Yield a changed block: what went, then what came; lines that only changed show their words."""
    pairs = [_words(one, two) for one, two in zip(before, after, strict=False)]
    out = [pair[0] if pair else _whole("-", line) for line, pair in zip_longest(before, pairs[: len(before)])]
    into = [pair[1] if pair else _whole("+", line) for line, pair in zip_longest(after, pairs[: len(after)])]
    yield from out
    yield from into


def _words(before: str, after: str) -> tuple[DiffLine, DiffLine] | None:
    """Return both sides of a changed line with the words that differ; None where too little is alike."""
    a, b = _WORD.findall(before), _WORD.findall(after)
    if len(a) * len(b) > _MAX_WORDS**2:
        return None
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    shared = sum(_weight(a[block.a : block.a + block.size]) for block in matcher.get_matching_blocks())
    if 2 * shared < _ALIKE * (_weight(a) + _weight(b)):
        return None
    old: list[Segment] = []
    new: list[Segment] = []
    for op, a1, a2, b1, b2 in matcher.get_opcodes():
        mark = "=" if op == "equal" else "-"
        if a1 < a2:
            old.append(Segment(mark, "".join(a[a1:a2])))
        if b1 < b2:
            new.append(Segment("=" if op == "equal" else "+", "".join(b[b1:b2])))
    return DiffLine("-", tuple(old)), DiffLine("+", tuple(new))


def _weight(tokens: Sequence[str]) -> int:
    """Return how many characters there are; spaces make no two lines alike."""
    return sum(len(token) for token in tokens if not token.isspace())


def _whole(op: str, line: str) -> DiffLine:
    return DiffLine(op, (Segment(op, line),))


def _word_lines(part: DiffPart) -> Iterator[str]:
    lines = list(shown(part))
    while lines:
        gone = list(itertools.takewhile(lambda line: line.op == "-", lines))
        come = list(itertools.takewhile(lambda line: line.op == "+", lines[len(gone) :]))
        if not gone and not come:
            yield lines.pop(0).text
            continue
        del lines[: len(gone) + len(come)]
        for old, new in zip_longest(gone, come):
            yield _merged(old, new)


def _merged(old: DiffLine | None, new: DiffLine | None) -> str:
    """Return both sides of a line as one: what they share stands once."""
    before = list(old.segments if old else ())
    after = list(new.segments if new else ())
    pieces: list[str] = []
    while before or after:
        if before and before[0].op == "-":
            pieces.append(f"[-{before.pop(0).text}-]")
        elif after and after[0].op == "+":
            pieces.append(f"{{+{after.pop(0).text}+}}")
        else:
            shared = (before or after)[0].text
            del before[:1], after[:1]
            pieces.append(shared)
    return "".join(pieces)
