"""The verbs of A/B tests: create, plan, run, analyze, stop."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench import analysis
from workbench.core.refs import check_title
from workbench.core.versions import PromptVersion
from workbench.db import frames
from workbench.db.queries import experiments as queries
from workbench.db.tables import AbArm, AbTest
from workbench.errors import InputError, NameTakenError, UnknownReferenceError, did_you_mean
from workbench.services.comparing import METRICS, metric_column, whole
from workbench.services.experiment import ArmSpec, Experiment
from workbench.services.outcome import partial
from workbench.services.planning import Arm, make_arm

if TYPE_CHECKING:
    import pandas as pd

    from workbench.analysis import Comparison
    from workbench.services.estimating import Plan
    from workbench.services.run import Run
    from workbench.services.workbench import Workbench

__all__ = ["Experiments"]


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
        name = check_title(name)
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

    def ask(
        self,
        a: str | PromptVersion,
        b: str | PromptVersion,
        *,
        data: Any,
        name: str | None = None,
        scorers: Sequence[str] = (),
        model: str | None = None,
        **design: Any,
    ) -> Experiment:
        """Return the test that asks this very question, or create it: for cells that are run again.

        Without a name it is called ``tone v1 vs v2 #3f9a2c``; the mark stands for data, model, scorers and design.

        Raises:
            NameTakenError: the name belongs to a test that asks something else.

        """
        design["options"] = self._wb.schemas.plain(design.get("options") or {})
        first, second = self._wb.prompts.resolve(a), self._wb.prompts.resolve(b)
        dataset = self._wb.datasets.of(data)
        chosen = self._wb.models.choose(model, first).model_id
        question = [first.id, second.id, dataset.content_hash, list(scorers), chosen, sorted(design.items())]
        mark = hashlib.sha256(repr(question).encode()).hexdigest()[:6]
        other = (
            f"v{second.version}" if second.root_id == first.root_id else f"{second.title} v{second.version}"
        )
        title = name or f"{first.title} v{first.version} vs {other} #{mark}"
        try:
            found = self.get(title)
        except UnknownReferenceError:
            return self.create(title, first, second, data=dataset, scorers=scorers, model=model, **design)
        if name and (found.dataset, found.scorers, [ref for ref, _ in found.arms.values()]) != (
            dataset.ref,
            tuple(scorers),
            [first.ref, second.ref],
        ):
            raise NameTakenError(
                f"the A/B test {name!r} asks another question:\n{found}", cure="choose another name"
            )
        return found

    def list(self) -> list[str]:
        """Return the names of the project's tests, newest first."""
        with self._wb.database.session() as session:
            return queries.names(session, self._wb.project_id)

    def plan(self, test: Experiment) -> Plan:
        """Estimate a test's calls."""
        return self._wb.running.estimate(
            self._wb.running.plan_arms(self._arms(test), data=test.dataset, samples=test.samples, cache="off")
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
            return self._wb.runs.get(runs[-1].id)
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
        answers, missing = self.frame(test), self._missing(test)
        rows = answers.assign(value=metric_column(answers, test.metric))
        comparison = analysis.compare(
            rows[["case_id", "cluster_id", "variant", "sample", "value", "status", "unparsed"]],
            metric=test.metric,
            higher_is_better=METRICS.get(test.metric, True),
            alpha=test.alpha,
            margin=test.margin,
            design=test.design,
            n_planned=test.sample_size,
            power=test.power,
            mde=test.mde,
            seed=test.seed,
            complete=not missing,
        )
        comparison = whole(comparison, missing)
        if self.get(test.name).status != "completed":
            self._store(
                test, comparison
            )  # afterwards the verdict is only reprinted: there is no further look
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
        table = changed.reset_index().merge(inputs, on="case_id", how="left")
        last = [name for name in table.columns if name.startswith(("expected", "answer_", "passed_"))]
        return table[
            [name for name in table.columns if name not in last] + sorted(last, reverse=True, key=_order)
        ]

    def stop(self, test: Experiment) -> Experiment:
        """End a test without a verdict."""
        with self._wb.database.session() as session:
            queries.set_status(session, test.id, "stopped")
        return self.get(test.name)

    def _missing(self, test: Experiment) -> str:
        """Return what is missing of the test's run; no statistic silently uses a part of it."""
        with self._wb.database.session() as session:
            runs = queries.runs_of(session, test.id)
        return partial(self._wb.runs.get(runs[-1].id).counts) if runs else ""

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


def _order(column: str) -> tuple[bool, bool, str]:
    """Sort key of the flips: expected, then the answers, then who passed."""
    return column == "expected", column.startswith("answer_"), "ab"[column.endswith("_a")]
