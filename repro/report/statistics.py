"""Intervals and verdicts: what 3 to 10 seeds can and cannot decide.

All intervals are two-sided 90 % Student t. An interval inside a region is then two one-sided tests at 5 %
(TOST): where the truth lies on the region's edge, `reproduced` is said in at most 5 % of repetitions. Every
look uses all the seeds there are; nothing is corrected for looking again with more seeds, or for many claims. What
that costs, and the power, is in `repro/report/power.py`.

A claim reads as the sentence it tests: `at_least(difference(swarm, largebatch), -0.5, "points")`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from repro.errors import UserError

CONFIDENCE = 0.90
HOPELESS = 50
"""More seeds than this are not asked for: the effect is too close to the region's edge for this noise."""
ENOUGH_FOR_BOOTSTRAP = 20
"""Below, BCa covers 73 to 89 % where it says 95; Student t covers what it says from n = 2."""
FEWEST = 3
"""Seeds to ask for where one seed is all there is: two give an interval six standard errors wide."""

Word = Literal["reproduced", "not reproduced", "inconclusive", "not attempted"]
WORDS: tuple[Word, ...] = get_args(Word)


@dataclass(frozen=True)
class Interval:
    """An estimate and its 90 % interval.

    Args:
        n: seeds, or pairs of seeds, it rests on.
        sd: standard deviation over seeds; of logs where `on_logs`; nan for n = 1.
        on_logs: the interval is symmetric on the log scale (a ratio).
        diverged: values, or pairs, without a finite number; where there are any, nothing was averaged.
    """

    estimate: float
    low: float
    high: float
    n: int
    sd: float
    on_logs: bool = False
    diverged: int = 0


@dataclass(frozen=True)
class Finding:
    """An estimate with its interval, and the region of values for which the claim holds, edges included."""

    interval: Interval
    region: tuple[float, float]
    unit: str
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """The word for a finding, why, and where inconclusive how many more seeds should decide it."""

    word: Word
    reason: str
    needs_more_seeds: int | None = None


NOT_ATTEMPTED = Verdict("not attempted", "no records")

Values = Sequence[float]
Estimate = Interval | Values


def t_half_width(sd: Any, n: int) -> Any:
    """Half of a mean's 90 % t interval, t_{0.95, n-1} sd / sqrt(n); `sd` may be an array; n >= 2."""
    from scipy.special import stdtrit  # scipy.stats would cost `repro --help` half a second

    return stdtrit(n - 1, 0.5 + CONFIDENCE / 2) * sd / math.sqrt(n)


def mean(values: Values) -> Interval:
    """The mean over seeds with its t interval.

    A value that is not finite (a diverged run) is never averaged: the interval is then (nan, nan), which lies
    outside every region.
    """
    diverged = sum(not math.isfinite(value) for value in values)
    if diverged:
        return Interval(math.nan, math.nan, math.nan, len(values), math.nan, diverged=diverged)
    return _student(values)


def difference(a: Values, b: Values) -> Interval:
    """The mean of a - b over pairs (equal positions are equal seeds).

    A pair that is not finite makes the interval (-inf, inf), which decides nothing: which of the two diverged
    matters, and is for a person to look at.
    """
    return _paired([x - y for x, y in zip(a, b, strict=True)])


def ratio(a: Values, b: Values) -> Interval:
    """The geometric mean of a / b over pairs, with an interval on the log scale; pairs as in `difference`.

    Values must be positive; zero or negative ones have no ratio and count as not finite.
    """
    logs = _paired([_log(x) - _log(y) for x, y in zip(a, b, strict=True)])
    estimate, low, high = (_exp(x) for x in (logs.estimate, logs.low, logs.high))
    return Interval(estimate, low, high, logs.n, logs.sd, on_logs=True, diverged=logs.diverged)


def exact(values: Iterable[float] | float) -> Interval:
    """A deterministic number such as a count of bytes: no spread, and one record is enough.

    Raises:
        UserError: the values are not all the same, so they are not deterministic.
    """
    numbers = [float(values)] if isinstance(values, int | float) else [float(value) for value in values]
    if len(set(numbers)) != 1:
        raise UserError(f"an exact number must be the same in all records, not {sorted(set(numbers))}")
    return Interval(numbers[0], numbers[0], numbers[0], len(numbers), 0.0)


def bootstrap(values: Values) -> Interval:
    """The mean with its BCa bootstrap interval (10,000 resamples, fixed random stream), for skewed values.

    Raises:
        UserError: fewer than 20 values, where the bootstrap's intervals are too short.
    """
    if len(values) < ENOUGH_FOR_BOOTSTRAP:
        raise UserError(f"the bootstrap needs at least {ENOUGH_FOR_BOOTSTRAP} values, not {len(values)}")
    centre = mean(values)
    if centre.diverged or centre.sd == 0:
        return centre
    import numpy as np
    from scipy.stats import bootstrap as resample

    result = resample(
        (np.asarray(values, float),), np.mean, confidence_level=CONFIDENCE, n_resamples=10_000,
        method="BCa", random_state=0,
    )  # fmt: skip
    low, high = (float(bound) for bound in result.confidence_interval)
    return Interval(centre.estimate, low, high, centre.n, centre.sd)


def within(estimate: Estimate, low: float, high: float, unit: str = "", note: str = "") -> Finding:
    """The claim that the estimate lies in [low, high]."""
    interval = estimate if isinstance(estimate, Interval) else mean(estimate)
    if interval.diverged:
        lost = f"{interval.diverged} of {interval.n} without a finite value (diverged): not averaged"
        note = f"{note}; {lost}" if note else lost
    return Finding(interval, (low, high), unit, note)


def at_least(estimate: Estimate, bound: float, unit: str = "", note: str = "") -> Finding:
    """The claim that the estimate is `bound` or more."""
    return within(estimate, bound, math.inf, unit, note)


def at_most(estimate: Estimate, bound: float, unit: str = "", note: str = "") -> Finding:
    """The claim that the estimate is `bound` or less."""
    return within(estimate, -math.inf, bound, unit, note)


def equivalence(estimate: Estimate, target: float, margin: float, unit: str = "", note: str = "") -> Finding:
    """The claim that the estimate equals `target` up to `margin`."""
    return within(estimate, target - margin, target + margin, unit, note)


def decide(finding: Finding) -> Verdict:
    """Say `reproduced` where the interval lies inside the region, `not reproduced` where outside."""
    interval, (low, high) = finding.interval, finding.region
    if math.isnan(interval.low):
        return Verdict("not reproduced", f"{interval.diverged} of {interval.n} runs diverged")
    if low <= interval.low and interval.high <= high:
        return Verdict("reproduced", "the interval lies inside the region")
    if interval.high < low or high < interval.low:
        return Verdict("not reproduced", "the interval lies outside the region")
    if interval.diverged:
        return Verdict("inconclusive", f"{interval.diverged} of {interval.n} pairs have a diverged run")
    if interval.n < 2:
        more = FEWEST - interval.n
        return Verdict("inconclusive", f"{interval.n} seed has no interval, {more} more would give one", more)
    needed = more_seeds(finding)
    if needed is None:
        return Verdict("inconclusive", f"the interval crosses the region's edge; needs over {HOPELESS} more seeds")
    seeds = f"{needed} more seed" + ("s" if needed > 1 else "")
    return Verdict("inconclusive", f"the interval crosses the region's edge; needs {seeds}", needed)


def more_seeds(finding: Finding) -> int | None:
    """How many more seeds would decide, should estimate and sd stay as they are; None: more than 50."""
    interval, (low, high) = finding.interval, finding.region
    centre = interval.estimate
    if interval.on_logs:
        centre, low, high = _log(centre), _log(low) if low > 0 else -math.inf, _log(high)
    for more in range(1, HOPELESS + 1):
        half = t_half_width(interval.sd, interval.n + more)
        inside = low <= centre - half and centre + half <= high
        outside = centre + half < low or high < centre - half
        if inside or outside:
            return more
    return None


def _paired(differences: Values) -> Interval:
    diverged = sum(not math.isfinite(value) for value in differences)
    if diverged:
        return Interval(math.nan, -math.inf, math.inf, len(differences), math.nan, diverged=diverged)
    return _student(differences)


def _student(values: Values) -> Interval:
    n = len(values)
    if n == 0:
        raise UserError("an interval needs at least one value")
    centre = math.fsum(values) / n
    if n == 1:
        return Interval(centre, -math.inf, math.inf, 1, math.nan)
    sd = math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (n - 1))
    half = float(t_half_width(sd, n))
    return Interval(centre, centre - half, centre + half, n, sd)


def _log(value: float) -> float:
    if value == math.inf:
        return math.inf
    return math.log(value) if value > 0 else math.nan


def _exp(value: float) -> float:
    if value == math.inf:
        return math.inf
    return math.exp(value)
