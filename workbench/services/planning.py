"""What a run will do, before it does it: the calls, their order, and an estimate of tokens, dollars, minutes."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from workbench.core.body import PromptBody
from workbench.core.cases import Case
from workbench.core.composition import body_of
from workbench.core.declarations import fill, fills
from workbench.core.display import Card, Rich
from workbench.core.versions import PromptVersion, format_cost
from workbench.db.queries import models as model_queries
from workbench.errors import DataError, UndefinedVariableError, did_you_mean
from workbench.services.attaching import check_files
from workbench.services.calls import build_request
from workbench.services.models import ChosenModel
from workbench.services.schemas import AnswerSchema

if TYPE_CHECKING:
    from workbench.services.datasets import Dataset
    from workbench.services.workbench import Workbench

__all__ = ["Arm", "Call", "Plan", "RunPlan", "estimate", "make_arm"]

#: Characters of English per token, for estimates before the first answer.
_CHARS_PER_TOKEN = 4
#: Tokens of an answer where neither a limit nor an earlier answer tells.
_ANSWER_TOKENS = 128
#: Tokens of a picture: most models count 300 to 1,500, whatever its size in bytes.
_FILE_TOKENS = 1_000
#: Cases that an estimate renders.
_PILOT = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One column of the matrix: a version on a model with options; ``variant`` names it in an A/B test."""

    version: PromptVersion
    body: PromptBody
    model: ChosenModel
    options: Mapping[str, Any]
    variant: str = ""
    schema: AnswerSchema | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One cell of the matrix."""

    arm: Arm
    case_id: uuid.UUID
    case: Case
    values: Mapping[str, Any]
    sample: int

    @property
    def key(self) -> tuple[str, uuid.UUID, uuid.UUID, str, int]:
        """What the ledger knows this call by, within its run."""
        return (self.case.key, self.arm.version.id, self.arm.model.config_id, self.arm.variant, self.sample)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPlan:
    """Versions × models × cases × samples, in the order of the calls."""

    arms: tuple[Arm, ...]
    dataset: Dataset
    cases: Sequence[tuple[uuid.UUID, Case]]
    variables: Mapping[str, Any]
    samples: int
    concurrency: int
    budget: Decimal | None = None
    cache: str = "deterministic"

    @property
    def n_calls(self) -> int:
        """How many calls there are in all."""
        return len(self.arms) * len(self.cases) * self.samples

    def calls(self) -> Iterator[Call]:
        """Yield the calls; the arms alternate, so that a provider's bad minute hits them alike."""
        for case_id, case in self.cases:
            values = {**case.inputs, **self.variables}
            for sample in range(self.samples):
                for arm in self.arms:
                    filled = fill(arm.version.variables, values)
                    yield Call(arm=arm, case_id=case_id, case=case, values=filled, sample=sample)

    def record(self) -> dict[str, Any]:
        """Return the plan as it is stored with the run."""
        return {
            "arms": [
                {
                    "variant": a.variant,
                    "prompt": a.version.ref,
                    "prompt_id": str(a.version.id),
                    "model": a.model.model_id,
                    "options": dict(a.options),
                }
                for a in self.arms
            ],
            "dataset": self.dataset.ref,
            "dataset_hash": self.dataset.content_hash,
            "variables": dict(self.variables),
            "samples": self.samples,
            "cache": self.cache,
        }

    def digest(self) -> str:
        """Return the SHA-256 of what is asked; two runs of the same plan share it."""
        return hashlib.sha256(json.dumps(self.record(), sort_keys=True, default=str).encode()).hexdigest()

    def check(self) -> None:
        """Find what would make a call fail to render, before the first one is paid for.

        Raises:
            UndefinedVariableError: a template needs a column that is not there.
            DataError: a needed column has an empty cell.
            VariableTypeError: a cell is not what its variable was declared as.

        """
        columns = {*self.dataset.columns, *self.variables}
        for arm in self.arms:
            records = arm.version.variables
            needs = dict.fromkeys([str(r["name"]) for r in records if r.get("required")])
            needs |= dict.fromkeys(name for name in arm.body.required if name not in fills(records))
            for name in needs:
                if name not in columns:
                    raise UndefinedVariableError(
                        f"prompt {arm.version.ref} needs {name!r}, which is neither a column of the data nor given with -p; {did_you_mean(name, columns)}".rstrip(
                            "; "
                        ),
                        cure=f"columns: {', '.join(sorted(columns))}",
                    )
            needed = [name for name in needs if name not in self.variables]
            for position, (_, case) in enumerate(self.cases):
                empty = next((name for name in needed if case.inputs.get(name) is None), None)
                if empty is not None:
                    raise DataError(
                        f"row {position} has no value in column {empty!r}, which prompt {arm.version.ref} needs",
                        cure=f"drop such rows, or write {{{{ {empty} | default('…') }}}} in the prompt",
                    )
                place = f"prompt {arm.version.ref}, row {position} (the first is 0; case {case.key:.12}): "
                fill(records, {**case.inputs, **self.variables}, where=place)
            check_files(
                arm.options.get("attach"), [{**case.inputs, **self.variables} for _, case in self.cases]
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan(Rich):
    """An estimate; nothing was called.

    Attributes:
        n_calls: calls in all.
        tokens: estimated tokens of prompts and answers.
        cost: estimated USD; None where a model's price is unknown.
        minutes: estimated duration; None where the model was never called.

    """

    n_calls: int
    n_cases: int
    samples: int
    arms: tuple[str, ...]
    tokens: int
    cost: Decimal | None
    minutes: float | None
    basis: str

    def __str__(self) -> str:
        time = (
            "time unknown"
            if self.minutes is None
            else f"about {self.minutes:.1f} min"
            if self.minutes >= 0.1
            else "a few seconds"
        )
        arms, samples = len(self.arms), self.samples
        lines = [
            f"{self.n_calls:,} calls = {arms} arm{'s' * (arms > 1)} × {self.n_cases:,} cases × {samples} sample{'s' * (samples > 1)}",
            *(f"  {arm}" for arm in self.arms),
            f"about {self.tokens:,} tokens · {format_cost(self.cost)} · {time}",
            f"({self.basis}; nothing was sent)",
        ]
        return "\n".join(lines)

    def card(self) -> Card:
        """Return the text with its basis as the small line."""
        title, *text, basis = str(self).splitlines()
        return Card(title=title, text="\n".join(text), note=basis.strip("()"))


def make_arm(
    workbench: Workbench,
    version: PromptVersion,
    *,
    model: str | None,
    options: Mapping[str, Any],
    variant: str = "",
) -> Arm:
    """Resolve one arm; the version's own settings come first, the call's options on top.

    Raises:
        SchemaError: the schema of the answers is none.

    """
    chosen = workbench.models.choose(model, version)
    merged = {**version.settings, **options}
    schema = workbench.schemas.of(merged)
    return Arm(
        version=version,
        body=body_of(version),
        model=chosen,
        options=merged if schema is None else {**merged, "schema": schema.json},
        variant=variant,
        schema=schema,
    )


def estimate(workbench: Workbench, plan: RunPlan) -> Plan:
    """Estimate from rendered texts, price lists, and the latency of earlier calls."""
    tokens, cost, seconds = 0, Decimal(0), 0.0
    known_cost = known_time = True
    for arm in plan.arms:
        prompt, answer = _tokens_per_call(arm, plan)
        calls = len(plan.cases) * plan.samples
        tokens += (prompt + answer) * calls
        if arm.model.price is None:
            known_cost = False
        else:
            cost += arm.model.price.amount(prompt_tokens=prompt, completion_tokens=answer) * calls
        with workbench.database.session() as session:
            latency = model_queries.latency_p50(session, arm.model.config_id)
        known_time = known_time and latency is not None
        seconds += (latency or 0) / 1000 * calls / min(plan.concurrency, arm.model.provider.concurrency)
    return Plan(
        n_calls=plan.n_calls,
        n_cases=len(plan.cases),
        samples=plan.samples,
        arms=tuple(
            f"{f'{a.variant}: ' if a.variant else ''}{a.version.ref} on {a.model.model_id}" for a in plan.arms
        ),
        tokens=tokens,
        cost=cost if known_cost else None,
        minutes=seconds / 60 if known_time else None,
        basis=f"{_CHARS_PER_TOKEN} characters a token, answers of at most {_ANSWER_TOKENS} tokens unless max_tokens says otherwise",
    )


def _tokens_per_call(arm: Arm, plan: RunPlan) -> tuple[int, int]:
    lengths = []
    for _, case in plan.cases[:_PILOT]:
        values = fill(arm.version.variables, {**case.inputs, **plan.variables})
        request = build_request(arm.body, values, arm.model, arm.options, schema=arm.schema)
        files = sum(len(message.attachments) for message in request.messages)
        lengths.append(
            sum(len(message.content) + 16 for message in request.messages)
            + files * _FILE_TOKENS * _CHARS_PER_TOKEN
        )
    answer = int(arm.options.get("max_tokens") or _ANSWER_TOKENS)
    return round(sum(lengths) / max(1, len(lengths)) / _CHARS_PER_TOKEN), answer
