"""What a run will cost and take, before it does: from earlier answers where there are any, else from the texts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from workbench.core.declarations import fill
from workbench.core.display import Card, Rich
from workbench.core.versions import format_cost
from workbench.db.queries import guides, history
from workbench.db.queries import runs as run_queries
from workbench.services.calls import ANSWER_TOKENS, CHARS_PER_TOKEN, build_request, expected_tokens

if TYPE_CHECKING:
    from workbench.db.engine import Session
    from workbench.db.queries.history import Pilot
    from workbench.services.planning import Arm, RunPlan
    from workbench.services.workbench import Workbench

__all__ = ["Plan", "PlanArm", "estimate"]

#: By how much the tokens of a text may be wrong that are estimated from its length.
_TOKEN_ERROR = 0.3
#: Cases whose texts are rendered for an estimate.
_RENDERED = 50
#: Fewer earlier answers give no range.
_FEWEST = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanArm:
    """One arm of an estimate; tokens and USD are for all of its calls.

    Attributes:
        label: variant, version and model.
        calls: calls that are still to be made.
        tokens_prompt: tokens of the requests.
        tokens_completion: tokens of the answers.
        cost: USD; None where neither a price nor an earlier answer tells.
        cost_low: lower end of the range; None where there is no range.
        cost_high: upper end.
        seconds: with the calls in flight that the plan has; None where the model never answered.
        basis: what the figures rest on.

    """

    label: str
    calls: int
    tokens_prompt: int
    tokens_completion: int
    cost: Decimal | None
    cost_low: Decimal | None
    cost_high: Decimal | None
    seconds: float | None
    basis: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan(Rich):
    """An estimate; nothing was called.

    Attributes:
        n_calls: calls in all.
        settled: those of them that an unfinished run of the same plan has answers for.
        tokens: estimated tokens of prompts and answers.
        cost: estimated USD; None where an arm's cost is unknown.
        cost_low: lower end of the range; None where an arm has none.
        cost_high: upper end.
        minutes: estimated duration; None where a model never answered.
        rows: the estimate by arm.
        resumes: the id of the unfinished run that would go on; empty for a new one.
        advised: models of the plan that there is advice for, how to write for them: ``wb.models.guide(model)``.

    """

    n_calls: int
    n_cases: int
    samples: int
    arms: tuple[str, ...]
    rows: tuple[PlanArm, ...] = ()
    settled: int = 0
    resumes: str = ""
    advised: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        """Tokens of requests and answers."""
        return sum(row.tokens_prompt + row.tokens_completion for row in self.rows)

    @property
    def cost(self) -> Decimal | None:
        """USD, or None."""
        return _sum([row.cost for row in self.rows])

    @property
    def cost_low(self) -> Decimal | None:
        """USD at least, or None."""
        return _sum([row.cost_low for row in self.rows])

    @property
    def cost_high(self) -> Decimal | None:
        """USD at most, or None."""
        return _sum([row.cost_high for row in self.rows])

    @property
    def minutes(self) -> float | None:
        """Minutes, or None."""
        seconds = [row.seconds for row in self.rows if row.seconds is not None]
        return sum(seconds) / 60 if len(seconds) == len(self.rows) else None

    @property
    def basis(self) -> str:
        """What the figures rest on, without repeating it for every arm."""
        return "; ".join(dict.fromkeys(row.basis for row in self.rows))

    @property
    def summary(self) -> str:
        """Tokens, dollars, time in one line."""
        return f"about {self.tokens:,} tokens · {_cost(self)} · {_time(self.minutes)}"

    def __str__(self) -> str:
        lines = [self._shape, *self._going_on]
        lines += [
            f"  {row.label}: {row.calls:,} calls, {row.tokens_prompt:,} + {row.tokens_completion:,} tok, {_cost(row)} ({row.basis})"
            for row in self.rows
        ]
        return "\n".join([*lines, self.summary, *self._unknown, *self._advice, "nothing was sent"])

    def card(self) -> Card:
        """Return the matrix with an arm a row, and what the figures rest on as the small line."""
        cells = [
            (
                row.label,
                f"{row.calls:,}",
                f"{row.tokens_prompt:,}",
                f"{row.tokens_completion:,}",
                _cost(row),
                _time(None if row.seconds is None else row.seconds / 60),
                row.basis,
            )
            for row in self.rows
        ]
        return Card(
            title=self._shape,
            text="\n".join([*self._going_on, self.summary]),
            columns=("arm", "calls", "tokens in", "tokens out", "cost", "time", "based on"),
            rows=cells,
            numeric=(1, 2, 3, 4, 5),
            alerts=[("cost unknown", line) for line in self._unknown],
            note=" · ".join([*self._advice, "nothing was sent"]),
        )

    @property
    def _advice(self) -> list[str]:
        return [f"how to write for {model}: %promptcmd models {model}" for model in self.advised]

    @property
    def _shape(self) -> str:
        arms, samples = len(self.arms), self.samples
        return f"{self.n_calls:,} calls = {arms} arm{'s' * (arms > 1)} × {self.n_cases:,} cases × {samples} sample{'s' * (samples > 1)}"

    @property
    def _going_on(self) -> list[str]:
        if not self.resumes:
            return []
        left = self.n_calls - self.settled
        return [
            f"run {self.resumes} of this plan is unfinished: {self.settled:,} calls are settled, {left:,} are left"
        ]

    @property
    def _unknown(self) -> list[str]:
        unknown = list(
            dict.fromkeys(row.label.rpartition(" on ")[2] for row in self.rows if row.cost is None)
        )
        if not unknown:
            return []
        return [f"nobody knows the price of {', '.join(unknown)}; fetch prices with: workbench models sync"]


def estimate(workbench: Workbench, plan: RunPlan, *, resume: bool = True, retry_errors: bool = False) -> Plan:
    """Estimate a run from earlier answers to the same version on the same model, else to its family, else from the texts.

    Args:
        workbench: an open workbench.
        plan: what would be run.
        resume: whether an unfinished run of the same plan would go on: then only what is left is estimated.
        retry_errors: whether that run would ask again where calls have failed.

    """
    with workbench.database.session() as session:
        key = run_queries.waiting(session, workbench.scope, plan.digest()) if resume else None
        settled = (
            run_queries.settled(session, key.id, retry_errors=retry_errors) if key is not None else set()
        )
        per_arm = len(plan.cases) * plan.samples
        rows = []
        for arm in plan.arms:
            mine = (arm.version.id, arm.model.config_id, arm.variant)
            left = per_arm - sum(call[1:4] == mine for call in settled)
            rows.append(_arm(session, arm, plan, calls=left))
        families = guides.families_of(session, dict.fromkeys(arm.model.model_id for arm in plan.arms))
    return Plan(
        n_calls=plan.n_calls,
        n_cases=len(plan.cases),
        samples=plan.samples,
        arms=tuple(_label(arm) for arm in plan.arms),
        rows=tuple(rows),
        settled=len(settled),
        resumes=str(key.id)[:8] if key is not None else "",
        advised=tuple(
            model for model, family in families.items() if family not in (guides.OTHER, guides.FAKE)
        ),
    )


def _arm(session: Session, arm: Arm, plan: RunPlan, *, calls: int) -> PlanArm:
    model = arm.model.config_id
    found = history.pilot(session, model, prompt_id=arm.version.id)
    of = "this version"
    if found is None:
        found, of = (
            history.pilot(session, model, root_id=arm.version.root_id),
            "other versions of this prompt",
        )
    if found is None or found.prompt is None or found.completion is None:
        known = found or history.pilot(session, model)
        return _from_texts(arm, plan, calls, known.latency_ms if known else None)
    s = "s" if found.calls > 1 else ""
    return _row(
        arm,
        plan,
        calls,
        prompt=_range(found.prompt, found.prompt_sd, calls, found),
        completion=_range(found.completion, found.completion_sd, calls, found),
        reported=None if found.cost is None else _range(found.cost, found.cost_sd, calls, found),
        latency_ms=found.latency_ms,
        basis=f"{found.calls:,} earlier answer{s} to {of}",
    )


def _from_texts(arm: Arm, plan: RunPlan, calls: int, latency_ms: float | None) -> PlanArm:
    prompt = _rendered_tokens(arm, plan)
    limit = arm.options.get("max_tokens")
    answer = int(limit or ANSWER_TOKENS)
    said = f"at most {answer} an answer" if limit else f"{answer} an answer, for want of earlier ones"
    low, high = (prompt * (1 - _TOKEN_ERROR), 1), (prompt * (1 + _TOKEN_ERROR), answer)
    return _row(
        arm,
        plan,
        calls,
        prompt=_Range(prompt * calls, low[0] * calls if limit else None, high[0] * calls if limit else None),
        completion=_Range(
            answer * calls, low[1] * calls if limit else None, high[1] * calls if limit else None
        ),
        reported=None,
        latency_ms=latency_ms,
        basis=f"the texts: {CHARS_PER_TOKEN} characters a token, {said}",
    )


@dataclass(frozen=True, slots=True)
class _Range:
    """A total over all calls, and where it may lie."""

    middle: float
    low: float | None = None
    high: float | None = None


def _range(mean: float, sd: float | None, calls: int, found: Pilot) -> _Range:
    """Return the total of so many calls, with the 95 % range of a total that is predicted from a sample."""
    if sd is None or found.calls < _FEWEST:
        return _Range(mean * calls)
    half = 1.96 * sd * math.sqrt(calls + calls * calls / found.calls)
    return _Range(mean * calls, max(0.0, mean * calls - half), mean * calls + half)


def _row(
    arm: Arm,
    plan: RunPlan,
    calls: int,
    *,
    prompt: _Range,
    completion: _Range,
    reported: _Range | None,
    latency_ms: float | None,
    basis: str,
) -> PlanArm:
    at_once = max(1, min(plan.concurrency, arm.model.provider.concurrency))
    cost: tuple[Decimal | None, ...]
    if reported is not None:
        cost = tuple(_money(value) for value in (reported.middle, reported.low, reported.high))
    else:
        cost = tuple(
            _price(arm, calls, getattr(prompt, end), getattr(completion, end))
            for end in ("middle", "low", "high")
        )
    return PlanArm(
        label=_label(arm),
        calls=calls,
        tokens_prompt=round(prompt.middle),
        tokens_completion=round(completion.middle),
        cost=cost[0],
        cost_low=cost[1],
        cost_high=cost[2],
        seconds=None if latency_ms is None else latency_ms / 1000 * calls / at_once,
        basis=basis,
    )


def _price(arm: Arm, calls: int, prompt: float | None, completion: float | None) -> Decimal | None:
    price = arm.model.price
    if price is None or prompt is None or completion is None:
        return None
    tokens = price.amount(prompt_tokens=round(prompt), completion_tokens=round(completion))
    return tokens + price.request * max(0, calls - 1)


def _rendered_tokens(arm: Arm, plan: RunPlan) -> float:
    tokens = []
    for _, case in plan.cases[:_RENDERED]:
        values = fill(arm.version.variables, {**case.inputs, **plan.variables})
        request = build_request(arm.body, values, arm.model, arm.options, schema=arm.schema)
        tokens.append(expected_tokens(request)[0])
    return sum(tokens) / max(1, len(tokens))


def _label(arm: Arm) -> str:
    return f"{f'{arm.variant}: ' if arm.variant else ''}{arm.version.ref} on {arm.model.model_id}"


def _sum(parts: list[Decimal | None]) -> Decimal | None:
    known = [part for part in parts if part is not None]
    return sum(known, Decimal(0)) if len(known) == len(parts) else None


def _money(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(round(value, 10)))


def _cost(found: Plan | PlanArm) -> str:
    low, high = found.cost_low, found.cost_high
    if found.cost is None or low is None or high is None or format_cost(low) == format_cost(high):
        return format_cost(found.cost)
    return f"{format_cost(found.cost)} ({format_cost(low)} to {format_cost(high)})"


def _time(minutes: float | None) -> str:
    if minutes is None:
        return "time unknown"
    return f"about {minutes:.1f} min" if minutes >= 0.1 else "a few seconds"
