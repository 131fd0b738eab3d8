"""What became of a run, in words and by arm: what failed and what to do, what is missing, whether it is whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from workbench.core.versions import format_cost
from workbench.db import run_frames

if TYPE_CHECKING:
    import pandas as pd

    from workbench.db.queries.runs import Counts
    from workbench.services.listing import Listing
    from workbench.services.run import Run

__all__ = ["CURES", "alerts", "partial", "summary"]

_AGAIN = "run.resume(retry_errors=True) asks these again"

#: Error code → what to do about it.
CURES: Final[Mapping[str, str]] = {
    "auth": f"the key is wrong or may not do this: workbench doctor; then {_AGAIN}",
    "payment": f"the account has no credit: add some at the provider; then {_AGAIN}",
    "rejected": "run.failures says why: an option that the model does not take, or a text that is too long for it",
    "rate_limit": f"ask for fewer at a time (-j, concurrency=); then {_AGAIN}",
    "unavailable": f"the provider did not answer; later {_AGAIN}",
    "bad_response": f"what came was no answer; {_AGAIN}",
    "incomplete": "the answers were cut off: give them more room with --max-tokens, in a new run",
    "schema": "run.failures shows the answers; say in the prompt which JSON is wanted, or " + _AGAIN,
    "not_sent": "they were never sent: run.resume() asks them",
    "interrupted": "they were in flight when the run was stopped: run.resume() asks them again",
    "unknown": "they were in flight when the kernel ended: run.resume() asks them again",
}


#: What an end of the run does to calls; no failures of their own.
_CUT_OFF: Final = frozenset({"not_sent", "interrupted", "unknown"})


def partial(counts: Counts) -> str:
    """Return one sentence that says what is missing of a run, or an empty one where nothing is."""
    if counts.open <= 0:
        return ""
    asked = counts.done + counts.failed + counts.lost + counts.in_flight
    parts = [f"{counts.done:,} done", f"{counts.failed:,} failed"]
    parts += [f"{counts.lost:,} without an answer"] if counts.lost else []
    parts += [f"{counts.in_flight:,} in flight"] if counts.in_flight else []
    parts += [f"{counts.planned - asked:,} not asked yet"] if counts.planned > asked else []
    return f"of {counts.planned:,} planned calls {', '.join(parts)}"


def summary(run: Run) -> Listing:
    """Return one row an arm, in the columns of ``db.run_frames.SUMMARY``; its card says whether the run is whole."""
    from workbench.services import listing

    frame = run_frames.summary(run.workbench.database, run.id)
    column, count, ms = listing.Column, listing.count, listing.milliseconds
    shown = [
        column("", ("variant",)),
        column("prompt", ("prompt", "version"), lambda prompt, version: f"{prompt}@{version}", numeric=False),
        column("model", ("model",)),
        column("calls", ("done", "failed", "lost", "planned"), _of),
        column("done", ("done",), lambda done: f"{done:,}"),
        column("failed", ("failed",), count),
        column("lost", ("lost",), count),
        column("in flight", ("in_flight",), count),
        column("from cache", ("cached",), count),
        column("passed", ("passed",), listing.percent),
        column("tokens in", ("tokens_prompt",), count),
        column("tokens out", ("tokens_completion",), count),
        column("cost", ("cost",), listing.money),
        column("p50", ("latency_p50_ms",), ms),
        column("p95", ("latency_p95_ms",), ms),
        column("p99", ("latency_p99_ms",), ms),
        column("first token", ("ttft_p50_ms",), ms),
    ]
    return listing.Listing.of(
        frame, heading=run.headline, shown=shown, alerts=alerts(run, frame), hint=run.line
    )


def alerts(run: Run, frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Return what must not be overlooked: that a run is partial, what failed, what may have been billed."""
    found = []
    missing = partial(run.counts)
    if missing and run.status != "running":
        found.append(
            ("PARTIAL", f"{missing}; no figure here is final; wb.runs.resume('{run.short_id}') goes on")
        )
    if run.error is not None:
        found.append((type(run.error).__name__, str(run.error).replace("\n", " ")))
    failed = run_frames.failures(run.workbench.database, run.id)
    if len(failed):
        found.append(_failed(failed.to_dict(orient="records")))
    lost = _lost(frame)
    if lost:
        found.append(("may be billed", lost))
    return found


def _failed(rows: Sequence[Mapping[Any, Any]]) -> tuple[str, str]:
    said = ", ".join(f"{row['calls']:,} {row['error_code']}" for row in rows)
    worst = next((row for row in rows if row["error_code"] not in _CUT_OFF), rows[0])
    cure = CURES.get(worst["error_code"], str(worst["message"] or "see run.failures"))
    which = f"{worst['error_code']}: " if len(rows) > 1 else ""
    return "without an answer", f"{said} → {which}{cure}"


def _lost(frame: pd.DataFrame) -> str:
    amount, unpriced = frame["lost_cost"].sum(min_count=1), int(frame["lost_cost_unknown"].sum())
    known = amount == amount  # noqa: PLR0124 - NaN where no row knows
    if not known and not unpriced:
        return ""
    parts = [f"about {format_cost(Decimal(str(amount)))}"] if known else []
    parts += [f"{unpriced:,} calls of unknown cost"] if unpriced else []
    return f"calls of unknown fate: {' and '.join(parts)}, not counted in the cost"


def _of(done: int, failed: int, lost: int, planned: int) -> str:
    made = done + failed + lost
    return f"{planned:,}" if made >= planned else f"{made:,} of {planned:,}"
