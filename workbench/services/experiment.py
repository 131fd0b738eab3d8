"""``Experiment``: two arms, one question fixed beforehand; a value that knows its verbs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.core.display import Card, Rich
from workbench.core.versions import PromptVersion

if TYPE_CHECKING:
    import pandas as pd

    from workbench.analysis import Comparison
    from workbench.services.estimating import Plan
    from workbench.services.run import Run
    from workbench.services.workbench import Workbench

__all__ = ["ArmSpec", "Experiment", "arm"]


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

    def card(self) -> Card:
        """Return the verdict, the arms, and the question as the small line."""
        verdict = str(self.results.get("verdict", self.status)).replace("_", " ")
        headline, *_ = str(self.results.get("text", "")).splitlines() or [""]
        samples = f"{self.samples} sample{'s' * (self.samples > 1)}"
        return Card(
            title=f"A/B test {self.name}: {verdict}",
            text=headline,
            columns=("arm", "prompt", "model"),
            rows=[(variant, ref, model) for variant, (ref, model) in self.arms.items()],
            note=f"{self.metric} on {self.dataset} · {self.sample_size:,} cases × {samples} · α = {self.alpha:g} · {self.design} design · {self.status}",
        )

    def __str__(self) -> str:
        arms = "\n".join(f"  {variant}: {ref} on {model}" for variant, (ref, model) in self.arms.items())
        verdict = f"\n  verdict: {self.results['verdict']}" if self.results else ""
        return (
            f"A/B test {self.name!r} ({self.status}): {self.metric} on {self.dataset}, {self.sample_size:,} cases × {self.samples}, "
            f"α = {self.alpha}, {self.design} design\n{arms}{verdict}"
        )
