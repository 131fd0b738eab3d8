"""Experiments: two arms, one question fixed beforehand, and a verdict that is stored."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench import analysis
from workbench.core.display import Rich
from workbench.core.refs import check_title
from workbench.core.versions import PromptVersion
from workbench.db import frames
from workbench.db.queries import experiments as queries
from workbench.db.tables import AbArm, AbTest
from workbench.errors import InputError, NameTakenError, UnknownReferenceError, did_you_mean
from workbench.services.planning import Arm, Plan, make_arm

if TYPE_CHECKING:
    import pandas as pd

    from workbench.analysis import Comparison
    from workbench.services.runs import Run
    from workbench.services.workbench import Workbench

__all__ = ["ArmSpec", "Experiment", "Experiments", "arm"]

#: Metrics that are not a scorer's name, and whether more of it is better.
METRICS = {"pass": True, "score": True, "cost": False, "latency": False, "tokens": False}


@dataclass(frozen=True, slots=True)
class ArmSpec:
    """A reference with its own model or options: see :func:`arm`."""

    ref: str | PromptVersion
    model: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def arm(
    ref: str | PromptVersion, *, model: str | None = None, options: Mapping[str, Any] | None = None
) -> ArmSpec:
    """Describe one arm of a test: a prompt, and where wanted its own model and options.

    Example:
        >>> wb.ab.create("cheaper", arm("tone", model="a/big"), arm("tone", model="a/small"), data="reviews")  # doctest: +SKIP

    """
    return ArmSpec(ref, model, options or {})


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment(Rich):
    """A test with its design; ``run()``, then ``analyze()``.

    Attributes:
        name: unique in the project.
        status: ``draft``, ``running``, ``completed`` or ``stopped``.
        metric: what is compared: ``pass``, ``score``, a scorer, ``cost``, ``latency`` or ``tokens``.
        arms: variant → (reference, model).
        results: the stored verdict, empty before the first look.

    """

    id: uuid.UUID
    name: str
    status: str
    design: str
    metric: str
    sample_size: int
    samples: int
    alpha: float
    power: float
    mde: float | None
    margin: float | None
    seed: int
    dataset: str
    scorers: tuple[str, ...]
    arms: Mapping[str, tuple[str, str]]
    results: Mapping[str, Any]
    workbench: Workbench = field(repr=False, compare=False)

    def plan(self) -> Plan:
        """Estimate calls, tokens, dollars, minutes; nothing is called."""
        return self.workbench.ab.plan(self)

    def run(
        self, *, budget: float | None = None, concurrency: int | None = None, progress: bool = True
    ) -> Run:
        """Call both arms on every case, alternating; what is answered already is not asked again."""
        return self.workbench.ab.run(self, budget=budget, concurrency=concurrency, progress=progress)

    def analyze(self) -> Comparison:
        """Compare the arms and store this look at the data; a final verdict is reprinted ever after."""
        return self.workbench.ab.analyze(self)

    def frame(self) -> pd.DataFrame:
        """Return one row for each case, arm and sample, with answer, expected and score."""
        return self.workbench.ab.frame(self)

    def flips(self) -> pd.DataFrame:
        """Return the cases that one arm passes and the other fails, with both answers."""
        return self.workbench.ab.flips(self)

    def stop(self) -> Experiment:
        """End the test without a verdict."""
        return self.workbench.ab.stop(self)

    def __str__(self) -> str:
        arms = "\n".join(f"  {variant}: {ref} on {model}" for variant, (ref, model) in self.arms.items())
        verdict = f"\n  verdict: {self.results['verdict']}" if self.results else ""
        return (
            f"A/B test {self.name!r} ({self.status}): {self.metric} on {self.dataset}, {self.sample_size:,} cases × {self.samples}, "
            f"α = {self.alpha}, {self.design} design\n{arms}{verdict}"
        )


class Experiments:
    """The tests of the project in use: ``wb.ab``."""

    def __init__(self, workbench: Workbench) -> None:
        self._wb = workbench

    def create(
        self,
        name: str,
        a: str | PromptVersion | ArmSpec,
        b: str | PromptVersion | ArmSpec,
        *,
        data: Any,
        scorers: Sequence[str] = (),
        model: str | None = None,
        metric: str = "pass",
        margin: float | None = None,
        design: str = "fixed",
        alpha: float = 0.05,
        power: float = 0.8,
        mde: float | None = None,
        samples: int = 1,
        options: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> Experiment:
        """Fix the question before the answer is seen.

        Args:
            name: the test's name.
            a: the control arm: a reference, a version, or ``workbench.arm(…)``.
            b: the arm that is tried.
            data: a dataset, or rows.
            scorers: what makes the metrics ``pass`` and ``score``.
            model: for arms that name none.
            metric: the one primary metric.
            margin: a difference that does not matter, in the metric's unit; allows the verdict EQUIVALENT.
            design: ``fixed``: one look at the end counts.
            alpha: rate of false alarms that is accepted.
            power: wanted chance to see a true difference of ``mde``.
            mde: smallest difference of interest.
            samples: answers per case and arm.
            options: for both arms.
            seed: for what is drawn at random.

        Raises:
            NameTakenError: a test of that name exists.
            InputError: a metric without its scorer, or a number out of range.

        """
        check_title(name)
        self._check(metric, scorers, design, alpha, power)
        dataset = self._wb.datasets.of(data)
        arms = {
            variant: self._arm(spec, model, options or {}, variant) for variant, spec in (("A", a), ("B", b))
        }
        row = AbTest(
            project_id=self._wb.project_id,
            user_id=self._wb.database.user_id,
            name=name,
            variant_a_prompt_id=arms["A"].version.id,
            variant_b_prompt_id=arms["B"].version.id,
            model_config_id=arms["A"].model.config_id,
            dataset_id=dataset.id,
            sample_size=dataset.n_cases,
            samples=samples,
            design=design,
            metric=metric,
            scorers=list(scorers),
            guards=[],
            alpha=alpha,
            power=power,
            mde=mde,
            margin=margin,
            seed=seed,
        )
        with self._wb.database.session() as session:
            if queries.find(session, self._wb.project_id, name) is not None:
                raise NameTakenError(
                    f"there is an A/B test {name!r} already",
                    cure=f"look at it with wb.ab.get({name!r}), or choose another name",
                )
            queries.insert(
                session,
                row,
                [
                    AbArm(
                        variant=found.variant,
                        prompt_id=found.version.id,
                        model_config_id=found.model.config_id,
                        options=dict(found.options),
                    )
                    for found in arms.values()
                ],
            )
        return self.get(name)

    def get(self, name: str) -> Experiment:
        """Return a test by its name.

        Raises:
            UnknownReferenceError: no such test.

        """
        with self._wb.database.session() as session:
            row = queries.find(session, self._wb.project_id, name)
            known = queries.names(session, self._wb.project_id)
            arms = queries.arms(session, row.id) if row is not None else []
        if row is None:
            cure = did_you_mean(name, known) or f"it has {', '.join(known[:10]) or 'none yet'}"
            raise UnknownReferenceError(f"project {self._wb.project!r} has no A/B test {name!r}", cure=cure)
        return self._experiment(row, arms)

    def list(self) -> list[str]:
        """Return the names of the project's tests, newest first."""
        with self._wb.database.session() as session:
            return queries.names(session, self._wb.project_id)

    def plan(self, test: Experiment) -> Plan:
        """Estimate a test's calls."""
        return self._wb.running.estimate(
            self._wb.running.plan_arms(self._arms(test), data=test.dataset, samples=test.samples)
        )

    def run(
        self,
        test: Experiment,
        *,
        budget: float | None = None,
        concurrency: int | None = None,
        progress: bool = True,
    ) -> Run:
        """Call the arms; the cache is never read, so that both answer under the same conditions."""
        plan = self._wb.running.plan_arms(
            self._arms(test),
            data=test.dataset,
            samples=test.samples,
            budget=budget,
            concurrency=concurrency,
            cache="off",
        )
        with self._wb.database.session() as session:
            runs = queries.runs_of(session, test.id)
            if test.status == "draft":
                queries.set_status(session, test.id, "running")
        if runs and runs[-1].status == "finished":
            return self._wb.running.get(runs[-1].id)
        return self._wb.running.run(
            plan, scorers=test.scorers, ab_test_id=test.id, label=test.name, progress=progress
        )

    def frame(self, test: Experiment) -> pd.DataFrame:
        """Return the answers of a test."""
        with self._wb.database.session() as session:
            runs = [run.id for run in queries.runs_of(session, test.id)]
        scorer = test.metric if test.metric not in METRICS else test.scorers[0] if test.scorers else None
        return frames.arms(self._wb.database, runs, scorer=scorer)

    def analyze(self, test: Experiment) -> Comparison:
        """Compare, and store the look."""
        answers = self.frame(test)
        rows = answers.assign(value=_metric(answers, test.metric))
        comparison = analysis.compare(
            rows[["case_id", "cluster_id", "variant", "sample", "value", "status"]],
            metric=test.metric,
            higher_is_better=METRICS.get(test.metric, True),
            alpha=test.alpha,
            margin=test.margin,
            design=test.design,
            n_planned=test.sample_size,
            power=test.power,
            mde=test.mde,
            seed=test.seed,
        )
        self._store(test, comparison)
        self._wb.last = comparison
        return comparison

    def flips(self, test: Experiment) -> pd.DataFrame:
        """Return the cases that changed sides."""
        answers = self.frame(test)
        first = answers[answers["sample"] == 0].assign(passed=lambda f: f["passed"].fillna(value=False))
        wide = first.pivot_table(
            index="case_id", columns="variant", values=["answer", "passed"], aggfunc="first"
        )
        if ("passed", "B") not in wide.columns or ("passed", "A") not in wide.columns:
            return wide.iloc[:0]
        changed = wide[wide[("passed", "A")].astype(bool) != wide[("passed", "B")].astype(bool)]
        changed = changed.set_axis([f"{name[0]}_{name[1].lower()}" for name in changed.columns], axis=1)
        inputs = self._wb.datasets.frame(test.dataset).drop(columns=["cluster_id", "split"])
        return changed.reset_index().merge(inputs, on="case_id", how="left")

    def stop(self, test: Experiment) -> Experiment:
        """End a test without a verdict."""
        with self._wb.database.session() as session:
            queries.set_status(session, test.id, "stopped")
        return self.get(test.name)

    def _store(self, test: Experiment, comparison: Comparison) -> None:
        result = comparison.to_dict()
        final = comparison.verdict not in {"INTERIM", "NO_DATA"}
        with self._wb.database.session() as session:
            queries.add_look(
                session,
                test.id,
                self._wb.database.user_id,
                n_cases=comparison.n_cases,
                verdict=comparison.verdict,
                result=result,
            )
            queries.store_verdict(session, test.id, result)
            if final and test.status != "completed":
                queries.set_status(session, test.id, "completed")

    def _arm(self, spec: Any, model: str | None, options: Mapping[str, Any], variant: str) -> Arm:
        chosen = spec if isinstance(spec, ArmSpec) else ArmSpec(spec)
        version = self._wb.prompts.resolve(chosen.ref)
        return make_arm(
            self._wb,
            version,
            model=chosen.model or model,
            options={**options, **chosen.options},
            variant=variant,
        )

    def _arms(self, test: Experiment) -> Sequence[Arm]:
        with self._wb.database.session() as session:
            stored = queries.arms(session, test.id)
        return [
            make_arm(
                self._wb,
                self._wb.prompts.by_id(row.prompt_id),
                model=test.arms[row.variant][1],
                options=row.options,
                variant=row.variant,
            )
            for row in stored
        ]

    def _experiment(self, row: AbTest, arms: Sequence[AbArm]) -> Experiment:
        described = {
            found.variant: (
                self._wb.prompts.by_id(found.prompt_id).ref,
                self._wb.models.by_id(found.model_config_id),
            )
            for found in arms
        }
        return Experiment(
            id=row.id,
            name=row.name,
            status=row.status,
            design=row.design,
            metric=row.metric,
            sample_size=row.sample_size,
            samples=row.samples,
            alpha=row.alpha,
            power=row.power,
            mde=row.mde,
            margin=row.margin,
            seed=row.seed,
            dataset=self._wb.datasets.by_id(row.dataset_id).ref,
            scorers=tuple(row.scorers),
            arms=described,
            results=row.results,
            workbench=self._wb,
        )

    def _check(self, metric: str, scorers: Sequence[str], design: str, alpha: float, power: float) -> None:
        self._wb.evaluating.check(scorers)
        if metric in {"pass", "score"} and not scorers:
            raise InputError(
                f"the metric {metric!r} needs a scorer",
                cure="give one: scorers=['equals'] or -c equals:@label",
            )
        if metric not in METRICS and metric not in scorers:
            hint = did_you_mean(metric, [*METRICS, *scorers])
            raise InputError(
                f"{metric!r} is no metric of this test; {hint}".rstrip("; "),
                cure=f"use one of {', '.join([*METRICS, *scorers])}",
            )
        if design != "fixed":
            raise InputError(f"the design {design!r} is not known", cure="use design='fixed'")
        if not 0 < alpha < 1 or not 0 < power < 1:
            raise InputError(
                f"alpha is {alpha}, power is {power}",
                cure="both lie between 0 and 1; common are 0.05 and 0.8",
            )


def _metric(answers: pd.DataFrame, metric: str) -> pd.Series[Any]:
    column = {"pass": "passed", "cost": "cost", "latency": "latency", "tokens": "tokens"}.get(metric, "score")
    return (
        answers[column].astype("float64")
        if column != "passed"
        else answers[column].astype("boolean").astype("Float64").astype("float64")
    )
