"""What a comparison says, in words.

The rules: signs are B - A and never flipped; what could not be shown is not called absent; an
interval is never turned into a probability; a number has as many digits as its uncertainty bears.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.analysis.results import Comparison, Question

__all__ = [
    "WARNINGS",
    "Unit",
    "counts",
    "describe",
    "digits",
    "headline",
    "interval_phrase",
    "label",
    "p_phrase",
    "p_value",
    "unit_of",
    "verdict_sentences",
    "verdict_words",
]

#: Every code that this floor can give, with one sentence for people.
WARNINGS: dict[str, str] = {
    "W_SRM": "the arms have more unequal numbers of cases than chance explains; find out why before trusting this",
    "W_MISSING": "more than 5 % of the answers are missing, or more in one arm than in the other",
    "W_FEW_CLUSTERS": "the cases come from few clusters, so the interval rests on few degrees of freedom",
    "W_SMALL_N": "fewer than 30 independent cases",
    "W_DISCORDANT": "fewer than 10 cases changed at all",
    "W_SKEW": "the values are skewed for this number of cases, so the t interval may miss more often than it says",
    "W_CEILING": "both arms pass more than 95 % of the cases; harder cases would tell them apart better",
    "W_TIES": "more than half of the cases gave the same value in both arms",
    "W_K_UNEQUAL": "cases have unequal numbers of samples",
}

_MINUS = "−"


@dataclass(frozen=True, slots=True)
class Unit:
    """How a metric's numbers are written.

    Attributes:
        name: the unit of a difference: ``pp``, ``points``, ``ms``, ``tokens``; empty for money.
        factor: what a stored number is multiplied by before it is shown.
        prefix: stands before every number.
        level_suffix: stands after a level (not a difference).
        least_digits: decimals that are always shown.

    """

    name: str
    factor: float = 1.0
    prefix: str = ""
    level_suffix: str = ""
    least_digits: int = 0

    def level(self, value: float, decimals: int) -> str:
        """Write a level, such as ``71.0 %`` or ``$0.0031``."""
        return f"{self._number(value, decimals)}{self.level_suffix}"

    def signed(self, value: float, decimals: int) -> str:
        """Write a difference with its sign but without its unit."""
        shown = round(value * self.factor, decimals)
        sign = "+" if shown > 0 else _MINUS if shown < 0 else ""
        return f"{sign}{self._number(abs(value), decimals)}"

    def change(self, value: float, decimals: int) -> str:
        """Write a difference with sign and unit, such as ``+5.5 pp``."""
        return f"{self.signed(value, decimals)} {self.name}".rstrip()

    def size(self, value: float) -> str:
        """Write a target, margin or detectable difference: as it was typed, or two significant digits."""
        shown = round(value * self.factor, 12)
        short, exact = (f"{shown:.{max(0, digits - _magnitude(shown))}f}" for digits in (1, 2))
        typed = math.isclose(float(exact), shown, rel_tol=1e-9)
        number = f"{float(exact):,.12f}".rstrip("0").rstrip(".") if typed else short
        return f"{self.prefix}{number.replace('-', _MINUS)} {self.name}".rstrip()

    def _number(self, value: float, decimals: int) -> str:
        shown = round(value * self.factor, decimals)
        sign = _MINUS if shown < 0 else ""
        return f"{sign}{self.prefix}{abs(shown):,.{decimals}f}"


_UNITS = {
    "binary": Unit("pp", factor=100, level_suffix=" %", least_digits=1),
    "cost": Unit("", prefix="$"),
    "latency": Unit("ms", level_suffix=" ms"),
    "tokens": Unit("tokens"),
}
_LABELS = {
    "value": "Mean value",
    "score": "Mean score",
    "cost": "Cost per call",
    "latency": "Latency",
    "latency_ms": "Latency",
    "tokens": "Tokens per call",
}
_VERDICTS = {
    "B_BETTER": "B BETTER",
    "A_BETTER": "A BETTER",
    "NO_DATA": "NO DATA",
    "NO_INFERENCE": "NO INFERENCE",
}


def unit_of(question: Question) -> Unit:
    """Return how this metric's numbers are written."""
    return _UNITS.get(question.kind, Unit("points"))


def label(comparison: Comparison) -> str:
    """Return the metric's name as it begins a sentence."""
    metric = comparison.question.metric
    if comparison.question.kind == "binary":
        return "Pass rate" if metric in {"value", "pass", "passed"} else f"Pass rate of {metric}"
    return _LABELS.get(metric, f"Mean {metric}")


def verdict_words(verdict: str) -> str:
    """Return a verdict as it is printed, such as ``B BETTER``."""
    return _VERDICTS.get(verdict, verdict)


def digits(comparison: Comparison) -> int:
    """Return the decimals that show two significant digits of the interval's half-width.

    One or two more where rounding would write an end that is not 0 as 0.
    """
    unit = unit_of(comparison.question)
    low, high = comparison.low, comparison.high
    if low is None or high is None:
        scale = comparison.se or abs(comparison.effect or 0) or abs(comparison.arms["A"].mean or 0)
        return _decimals(unit, scale * unit.factor)
    decimals = _decimals(unit, (high - low) / 2 * unit.factor)
    more = (
        d for d in range(decimals, decimals + 2) if all(round(x * unit.factor, d) for x in (low, high) if x)
    )
    return next(more, decimals + 2)


def _decimals(unit: Unit, scale: float) -> int:
    return min(12, max(unit.least_digits, 1 - _magnitude(scale) if scale else 2))


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value))) if value else 0


def describe(comparison: Comparison) -> str:
    """Return the whole answer: headline, verdict, notes, warnings."""
    lines = [headline(comparison), " ".join(verdict_sentences(comparison)), *comparison.notes]
    lines += [f"{code}: {WARNINGS[code]}." for code in comparison.warnings]
    return "\n".join(lines)


def headline(comparison: Comparison) -> str:
    """Return what was measured, in one sentence."""
    return f"{label(comparison)}: {', '.join([*_levels(comparison), counts(comparison)])}."


def _levels(comparison: Comparison) -> list[str]:
    unit, decimals = unit_of(comparison.question), digits(comparison)
    mean_a, mean_b = (comparison.arms[name].mean for name in "AB")
    if comparison.effect is None or mean_a is None or mean_b is None:
        empty = [name for name in "AB" if comparison.arms[name].mean is None]
        return [f"no usable value in {'either arm' if len(empty) == 2 else f'arm {empty[0]}'}"]
    levels = f"A {unit.level(mean_a, decimals)} → B {unit.level(mean_b, decimals)}"
    change = unit.change(comparison.effect, decimals)
    interval = interval_phrase(comparison)
    parts = [levels, f"{change} ({interval})" if interval else change]
    test = p_phrase(comparison)
    return [*parts, test] if test else parts


def interval_phrase(comparison: Comparison) -> str:
    """Return ``95 % CI +2.5 to +8.8``, or an empty string where there is no interval."""
    if comparison.low is None or comparison.high is None:
        return ""
    unit, decimals = unit_of(comparison.question), digits(comparison)
    name = "confidence sequence" if comparison.verdict == "INTERIM" else "CI"
    ends = f"{unit.signed(comparison.low, decimals)} to {unit.signed(comparison.high, decimals)}"
    return f"{_percent(1 - comparison.question.alpha)} {name} {ends}"


def p_phrase(comparison: Comparison) -> str:
    """Return ``McNemar mid-p = 0.0004``, or an empty string where p is hidden or unknown."""
    if comparison.p_value is None:
        return ""
    name = comparison.test if comparison.test.endswith("mid-p") else f"{comparison.test} p"
    return f"{name} {p_value(comparison.p_value)}"


def p_value(p: float) -> str:
    """Return ``= 0.0004``, ``= 0.23`` or ``< 0.0001``."""
    if p < 0.0001:
        return "< 0.0001"
    return f"= {p:.4f}" if p < 0.1 else f"= {p:.2f}"


def counts(comparison: Comparison) -> str:
    """Return how many cases stand behind it, and how many changed."""
    arms, planned = comparison.arms, comparison.question.n_planned
    so_far = (
        f"{comparison.n_done:,} of {planned:,} planned" if comparison.verdict == "INTERIM" and planned else ""
    )
    if not comparison.paired:
        per_arm = f"{_cases(arms['A'].n)} in A and {arms['B'].n:,} in B"
        return f"n = {so_far} cases: {per_arm}" if so_far else f"n = {per_arm}{_clusters(comparison)}"
    pairs = f"{comparison.n_pairs:,}"
    n = so_far if comparison.n_pairs == comparison.n_done and so_far else pairs
    text = f"n = {n} paired case{'' if comparison.n_pairs == 1 and not so_far else 's'}"
    if so_far and n is pairs:
        text += f" ({so_far})"
    moved = f"{comparison.better:,} changed for the better, {comparison.worse:,} for the worse"
    same = comparison.n_pairs - comparison.better - comparison.worse
    if comparison.question.kind != "binary" and same:
        moved += f", {same:,} stayed the same"
    return f"{text}{_clusters(comparison)}: {moved}"


def _clusters(comparison: Comparison) -> str:
    entered = comparison.n_pairs if comparison.paired else comparison.n_cases
    return f" in {comparison.n_clusters:,} clusters" if comparison.n_clusters < entered else ""


def verdict_sentences(comparison: Comparison) -> list[str]:
    """Return the verdict and what it means, one sentence each."""
    sentences = [f"Verdict: {_verdict(comparison)}."]
    explanation = _EXPLANATIONS.get(comparison.verdict)
    if explanation:
        sentences.append(explanation(comparison))
    sentences.append(_power(comparison))
    if comparison.question.n_planned is None and comparison.verdict not in {"NO_DATA", "NO_INFERENCE"}:
        sentences.append("Exploratory: no sample size was planned.")
    return [sentence for sentence in sentences if sentence]


def _verdict(comparison: Comparison) -> str:
    words = verdict_words(comparison.verdict)
    if (
        comparison.equivalent
        and comparison.question.margin is not None
        and comparison.verdict in {"A_BETTER", "B_BETTER"}
    ):
        return f"{words}, but by less than {unit_of(comparison.question).size(comparison.question.margin)}"
    return words


def _inconclusive(comparison: Comparison) -> str:
    if comparison.low is None or comparison.high is None:
        return ""
    unit, decimals = unit_of(comparison.question), digits(comparison)
    low, high = unit.signed(comparison.low, decimals), unit.signed(comparison.high, decimals)
    return f"The data are compatible with anything from {low} to {high} {unit.name}".rstrip() + "."


def _equivalent(comparison: Comparison) -> str:
    unit = unit_of(comparison.question)
    low, high = comparison.details.get("equivalence_low"), comparison.details.get("equivalence_high")
    if low is None or high is None or comparison.question.margin is None:
        return ""
    ends = f"{unit.signed(low, digits(comparison))} to {unit.change(high, digits(comparison))}"
    level = _percent(1 - 2 * comparison.question.alpha)
    return f"The {level} interval, {ends}, lies within ±{unit.size(comparison.question.margin)}."


def _interim(comparison: Comparison) -> str:
    left = (comparison.question.n_planned or 0) - comparison.n_done
    if left > 0:
        text = f"{_cases(left).replace(' ', ' more ')} until the planned size; p stays hidden until then."
    else:
        text = "Planned answers are missing; p stays hidden until they are there."
    e_value = comparison.details.get("e_value")
    if e_value is not None:
        text += f" The e-value so far is {e_value:.3g} (evidence that may be looked at at any time)."
    if comparison.low is None:
        text += " It is too early for an interval."
    return text


def _no_inference(comparison: Comparison) -> str:
    return "" if comparison.low is None else "The interval is shown, a verdict is not given."


_EXPLANATIONS = {
    "INCONCLUSIVE": _inconclusive,
    "EQUIVALENT": _equivalent,
    "INTERIM": _interim,
    "NO_INFERENCE": _no_inference,
}


def _power(comparison: Comparison) -> str:
    unit, have = unit_of(comparison.question), comparison.n_pairs or comparison.n_cases
    power, target = _percent(comparison.question.power), comparison.question.target
    binary_pairs = comparison.details.get("row") == 3
    spread = "rate of change" if binary_pairs else "spread"
    if target is not None and comparison.required_n is not None:
        need = f"{comparison.required_n:,} case{'' if comparison.required_n == 1 else 's'}"
        return f"To detect {unit.size(target)} with {power} power at this {spread} you need {need} (you have {have:,})."
    if target is not None and binary_pairs:
        return f"Too few cases change at all for a difference of {unit.size(target)} to occur."
    if comparison.mde is not None and comparison.verdict in {"INCONCLUSIVE", "INTERIM"}:
        return f"With {power} power, {_cases(have)} at this {spread} detect {unit.size(comparison.mde)}."
    return ""


def _cases(n: int) -> str:
    return f"{n:,} case{'' if n == 1 else 's'}"


def _percent(share: float) -> str:
    return f"{round(100 * share, 6):g} %"
