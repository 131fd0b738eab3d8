"""What a run will do, before it does it: the calls and their order, checked before anything is paid."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from workbench.core.body import PromptBody
from workbench.core.cases import Case
from workbench.core.composition import body_of
from workbench.core.declarations import fill, fills
from workbench.core.versions import PromptVersion
from workbench.errors import DataError, InputError, UndefinedVariableError, did_you_mean
from workbench.services.attaching import check_files
from workbench.services.models import ChosenModel
from workbench.services.schemas import AnswerSchema

if TYPE_CHECKING:
    from workbench.services.datasets import Dataset
    from workbench.services.workbench import Workbench

__all__ = ["Arm", "Call", "RunPlan", "check_read", "make_arm"]


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


def check_read(
    versions: Sequence[PromptVersion], given: Iterable[str], *, also: Collection[str] | None = ()
) -> None:
    """Refuse a value that was given by its name and that nothing reads: most often the name is misspelt.

    Args:
        versions: the prompts that are called.
        given: names that a person wrote; not the columns of data, of which more may be there.
        also: names that something else reads; None where that cannot be known.

    Raises:
        InputError: none of the prompts reads it.

    """
    names = dict.fromkeys(name for version in versions for name in version.names)
    if also is None or all(name in names or name in also for name in given):
        return
    # What the text itself reads counts too: rows of older versions may declare less.
    names |= dict.fromkeys(name for version in versions for name in body_of(version).variables)
    stray = next((name for name in given if name not in names and name not in also), None)
    if stray is not None:
        who = versions[0].title if len(versions) == 1 else "none of the prompts"
        reads = f"it reads {', '.join(names)}" if names else "it reads no variable"
        raise InputError(
            f"{who} {'does not read' if len(versions) == 1 else 'reads'} {stray!r:.100}",
            cure=did_you_mean(str(stray), names) or f"{reads}; leave {stray!r:.100} out",
        )


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
