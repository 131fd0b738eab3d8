"""What an import or an export did, as results that a notebook and a terminal can show."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.core.display import Card, Rich
from workbench.core.exchange.records import Issue

__all__ = ["ExportReport", "ImportReport"]

#: So many failures and notes are shown; all of them are in the report.
_SHOWN = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportReport(Rich):
    """What an import did.

    Attributes:
        source: the file or folder.
        format: how it was read.
        project: where the prompts went.
        new: versions that were added.
        same: versions that were there already.
        labels: labels that name another version than before.
        failures: records that are left out: place, title, reason.
        notes: what was changed on the way, or is not carried over.
        versions: the references of all versions that came in or were there, in the order of the source.
        datasets: the references of datasets that came along.
        scorers: how the source judged answers, as scorers are written here.

    """

    source: str
    format: str
    project: str
    new: int = 0
    same: int = 0
    labels: int = 0
    failures: Sequence[Issue] = ()
    notes: Sequence[Issue] = ()
    versions: Sequence[str] = ()
    datasets: Sequence[str] = ()
    scorers: Sequence[str] = ()

    @property
    def failed(self) -> int:
        """How many records were left out."""
        return len(self.failures)

    @property
    def headline(self) -> str:
        """One line: from where, into what, how many."""
        counts = [
            f"{self.new:,} new",
            f"{self.same:,} same",
            *([f"{self.failed:,} failed"] if self.failures else []),
        ]
        moved = f"; {self.labels:,} label{'s' * (self.labels > 1)} moved" if self.labels else ""
        return f"{self.source} ({self.format}) → project {self.project!r}: {', '.join(counts)}{moved}"

    @property
    def hints(self) -> list[str]:
        """What to do with what came along."""
        lines = [f"dataset {ref}" for ref in self.datasets]
        if self.scorers:
            lines.append("score with: " + " ".join(f"-c {shlex.quote(scorer)}" for scorer in self.scorers))
        return lines

    def __str__(self) -> str:
        return "\n".join(
            [self.headline, *self.hints, *_listed("failed", self.failures), *_listed("note", self.notes)]
        )

    def card(self) -> Card:
        """Return the counts, and a table of failures and notes."""
        issues = [("failed", each) for each in self.failures] + [("note", each) for each in self.notes]
        more = len(issues) - _SHOWN
        return Card(
            title=self.headline,
            text="\n".join(self.hints),
            columns=("", "place", "prompt", "what") if issues else (),
            rows=[(kind, each.place, each.title, each.reason) for kind, each in issues[:_SHOWN]],
            note=f"{more:,} more in .failures and .notes" if more > 0 else "",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportReport(Rich):
    """What an export wrote.

    Attributes:
        target: the file or folder.
        format: ``jsonl``, ``promptfoo`` or ``folder``.
        prompts: how many families.
        versions: how many versions.
        written: files that are new or changed.
        removed: files of prompts or versions that are no longer there.
        notes: what the format cannot say.

    """

    target: str
    format: str
    prompts: int
    versions: int
    written: int = 1
    removed: int = 0
    notes: Sequence[Issue] = ()

    @property
    def headline(self) -> str:
        """One line: what went where."""
        gone = f", {self.removed:,} removed" if self.removed else ""
        files = f" ({self.written:,} files written{gone})" if self.format == "folder" else ""
        return f"{self.prompts:,} prompts, {self.versions:,} versions → {self.target} ({self.format}){files}"

    def __str__(self) -> str:
        return "\n".join([self.headline, *_listed("note", self.notes)])

    def card(self) -> Card:
        """Return the counts, and a table of notes."""
        return Card(
            title=self.headline,
            columns=("prompt", "what") if self.notes else (),
            rows=[(each.title, each.reason) for each in self.notes[:_SHOWN]],
        )


def _listed(kind: str, issues: Sequence[Issue]) -> list[str]:
    lines = [
        f"{kind}: {each.place}{f', {each.title}' if each.title else ''}: {each.reason}"
        for each in issues[:_SHOWN]
    ]
    more = len(issues) - _SHOWN
    return [*lines, f"… and {more:,} more"] if more > 0 else lines
