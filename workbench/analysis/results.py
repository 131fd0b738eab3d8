"""The answer of a comparison, as a frozen value that prints itself honestly."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from workbench.core.display import Rich

if TYPE_CHECKING:
    import pandas as pd

    from workbench.analysis.frames import Kind

__all__ = ["Arm", "Comparison", "Question", "Verdict"]

Verdict = Literal["B_BETTER", "A_BETTER", "EQUIVALENT", "INCONCLUSIVE", "INTERIM", "NO_DATA", "NO_INFERENCE"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What was asked of the data.

    Attributes:
        metric: name of the metric.
        kind: what sort of number it is.
        higher_is_better: decides the verdict's direction, never a sign.
        worst: value that a failed execution counts as; None: the default of its kind.
        alpha: two-sided level.
        margin: equivalence margin, in the metric's unit.
        target: the difference that ``required_n`` is for.
        power: wanted power.
        design: ``fixed``.
        n_planned: planned number of cases; None makes the verdict exploratory.
        seed: seed of whatever is drawn.
        complete: False where planned answers are missing.

    """

    metric: str
    kind: Kind
    higher_is_better: bool = True
    worst: float | None = None
    alpha: float = 0.05
    margin: float | None = None
    target: float | None = None
    power: float = 0.8
    design: str = "fixed"
    n_planned: int | None = None
    seed: int = 0
    complete: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One arm in numbers.

    Attributes:
        n: cases that entered the comparison.
        n_rows: answers that entered it (more than ``n`` with several samples).
        mean: mean over those cases, in the metric's own unit; None without a case.
        sd: standard deviation over those cases; None below two.
        n_failed: executions that failed.
        n_unparsed: answers that arrived but could not be read, by the column ``unparsed``.
        n_dropped: answers that arrived but hold no finite value.
        n_pending: executions not answered yet.
        n_missing: cases that the other arm has a value for and this one has not.

    """

    n: int
    n_rows: int
    mean: float | None
    sd: float | None
    n_failed: int
    n_unparsed: int
    n_dropped: int
    n_pending: int
    n_missing: int


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Comparison(Rich):
    """What the data say about B against A.

    ``effect``, ``low``, ``high``, ``se`` and ``mde`` are in the metric's own unit (a pass rate's
    is a share: 0.05 is 5 percentage points); the effect is always B - A.

    Attributes:
        effect: the difference; None without data.
        low: lower end of the interval (in an interim look, of the confidence sequence).
        high: upper end.
        p_value: None where it is hidden or cannot be computed.
        verdict: the one word.
        test: name of the test behind ``p_value``.
        interval: name of the interval.
        n_cases: cases with a usable value in either arm.
        n_pairs: pairs that entered; 0 in an unpaired comparison.
        n_clusters: clusters among the cases that entered.
        df: degrees of freedom of a t.
        se: standard error of the effect.
        effect_size: paired: mean over standard deviation of the differences; unpaired: Cohen's d,
            of two rates Cohen's h.
        equivalent: whether the interval at 1 - 2·alpha lies within ±margin; None without a margin.
        required_n: cases needed for the question's ``target``; None without one.
        mde: the smallest difference that the cases at hand would detect with ``power``.
        warnings: codes, explained in ``analysis.wording.WARNINGS``.
        arms: 'A' and 'B' in numbers.
        rows: one line per case: ``case_id``, ``a``, ``b``, ``d``; NaN where an arm has no value.
        question: what was asked, defaults resolved.
        n_done: cases answered so far, well or badly, in every arm they belong to.
        notes: sentences on special cases, on failures and on sensitivity.
        details: secondary numbers by name.

    """

    effect: float | None
    low: float | None
    high: float | None
    p_value: float | None
    verdict: Verdict
    test: str
    interval: str
    n_cases: int
    n_pairs: int
    n_clusters: int
    df: float | None
    se: float | None
    effect_size: float | None
    equivalent: bool | None
    required_n: int | None
    mde: float | None
    warnings: tuple[str, ...]
    arms: Mapping[str, Arm]
    rows: pd.DataFrame
    question: Question
    n_done: int
    notes: tuple[str, ...] = ()
    details: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The whole answer in words."""
        from workbench.analysis.wording import describe

        return describe(self)

    @property
    def paired(self) -> bool:
        """Whether cases were compared with themselves."""
        return self.n_pairs > 0

    @property
    def better(self) -> int:
        """Cases that B changed for the better."""
        return self._moved(up=self.question.higher_is_better)

    @property
    def worse(self) -> int:
        """Cases that B changed for the worse."""
        return self._moved(up=not self.question.higher_is_better)

    def _moved(self, *, up: bool) -> int:
        d = self.rows["d"]
        return int((d > 0).sum() if up else (d < 0).sum())

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Comparison of {self.question.metric}: {self.verdict}, effect {self.effect}>"

    def to_dict(self, *, rows: bool = True) -> dict[str, Any]:
        """Return everything as JSON-safe values: no NaN, no numpy types.

        Args:
            rows: whether to include the line per case.

        """
        result: dict[str, Any] = {}
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if item.name == "arms":
                value = {name: dataclasses.asdict(arm) for name, arm in value.items()}
            elif item.name == "question":
                value = dataclasses.asdict(value)
            elif item.name == "rows":
                if not rows:
                    continue
                value = value.to_dict("records")
            result[item.name] = _json_safe(value)
        return {**result, "text": self.text}


def _json_safe(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _json_safe(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_json_safe(item) for item in value]
    if hasattr(value, "item"):
        return _json_safe(value.item())
    return str(value)
