"""Alarms from `sales_forecast_accuracy`: do forecasts still do what they promised, night after night? All warn.

Of each level and measure the last eight weeks are asked: whether the 80 % intervals held 80 % of what came, whether the
means were right on average, whether they were better than the seasonal profile's, and whether errors have grown since
the sixteen weeks before.

Thousands of rows are few observations: the products of a day go together, so do the nights that forecast one day, and
the days that one night forecast. So weeks are counted, not rows: the standard error is clustered both by the week of
the target date and by the week of the night (Cameron, Gelbach and Miller 2011, *Robust inference with multiway
clustering*), and compared by the t distribution with as many degrees of freedom as the fewer of the two have weeks.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from ecom_pipeline.quality.queries import kept
from ecom_pipeline.quality.results import CheckResult, TableValidation, warning
from ecom_pipeline.warehouse import Warehouse

WEEKS = 8
WEEKS_BEFORE = 16
"""Weeks before these eight that errors are compared with."""
FEWEST_WEEKS = 4
PROMISED = 0.8
CONFIDENCE = 0.995
"""One-sided; a rule that holds gives a false alarm in about one of a hundred independent eight weeks."""

LEAST_COVERAGE_GAP = 0.05
LEAST_BIAS = 0.1
LEAST_LOSS = 0.02
LEAST_GROWTH = 0.1
"""Shortfalls below these are not worth an alarm, however certain they are."""

NAMES = {"product": "products", "category": "categories", "total": "the total"}

# Closed days are known, so an interval that holds there says nothing. Counts have ties: where y equals an end of its
# interval it is inside for the question whether intervals are too narrow, outside for whether they are too wide.
_BY_WEEKS = """
WITH closed AS (
  SELECT date FROM feat_sales_daily WHERE level = 'total' AND is_closed
)
SELECT made.level, made.measure,
       date_diff('day', made.target_date, CAST(:as_of AS DATE)) // 7 AS target_week,
       date_diff('day', made.as_of, CAST(:as_of AS DATE)) // 7 AS night_week,
       count(*) AS n,
       sum(CASE WHEN made.actual >= made.p10 AND made.actual <= made.p90 THEN 1 ELSE 0 END) AS inside_or_at_an_end,
       sum(CASE WHEN made.actual > made.p10 AND made.actual < made.p90 THEN 1 ELSE 0 END) AS inside,
       sum(made.mean - made.actual) AS excess,
       sum(abs(made.actual)) AS size,
       sum(made.abs_error) AS error,
       sum(made.baseline_abs_error) AS baseline_error
FROM sales_forecast_accuracy AS made
LEFT JOIN closed ON closed.date = made.target_date
WHERE made.as_of < :as_of AND made.target_date > :since AND made.target_date <= :as_of AND closed.date IS NULL
GROUP BY ALL
ORDER BY ALL
"""


@dataclass(frozen=True)
class Share:
    """A ratio of two sums, and how far from the truth it may be by chance; `half_width` None: too few weeks to say."""

    value: float
    half_width: float | None
    weeks: int


def clustered_share(part: np.ndarray, whole: np.ndarray, clusters: tuple[np.ndarray, np.ndarray]) -> Share:
    """sum(part) / sum(whole), all (n,), where rows of the same cluster of either grouping go together."""
    from scipy.special import stdtrit

    value = float(part.sum() / whole.sum())
    weeks = min(len(np.unique(cluster)) for cluster in clusters)
    if weeks < FEWEST_WEEKS:
        return Share(value=value, half_width=None, weeks=weeks)
    influence = (part - value * whole) / whole.sum()
    first, second = clusters
    alone = [_variance(influence, first), _variance(influence, second)]
    _, both = np.unique(np.stack(clusters), axis=1, return_inverse=True)
    variance = max(*alone, sum(alone) - _variance(influence, both.ravel()))
    return Share(value=value, half_width=float(stdtrit(weeks - 1, CONFIDENCE) * np.sqrt(variance)), weeks=weeks)


def _variance(influence: np.ndarray, cluster: np.ndarray) -> float:
    """Of a sum of (n,) influences whose clusters are independent, with the usual correction for few clusters."""
    _, number = np.unique(cluster, return_inverse=True)
    count = int(number.max()) + 1
    return float((np.bincount(number, weights=influence) ** 2).sum()) * count / max(count - 1, 1)


def check_track_record(warehouse: Warehouse, *, as_of: date, run_id: str) -> TableValidation:
    """Intervals, bias, value added and drift of the forecasts of the last weeks, by level and measure.

    Reads what was known on the night `as_of`. Without scored forecasts there is nothing to say, and no result.
    """
    since = as_of - timedelta(weeks=WEEKS + WEEKS_BEFORE)
    rows = warehouse.arrow(_BY_WEEKS, {"as_of": as_of, "since": since}).to_pandas()
    results: list[CheckResult] = []
    for (level, measure), group in rows.groupby(["level", "measure"], sort=True):
        is_new = group["target_week"] < WEEKS
        if is_new.any():
            results += _judge(f"{measure} of {NAMES[level]}", group[is_new], group[~is_new])
    return kept(warehouse, "sales_forecast_accuracy", "track_record", results, as_of=as_of, run_id=run_id)


def _judge(name: str, rows: pd.DataFrame, before: pd.DataFrame) -> list[CheckResult]:
    """Of one level and measure; `rows`: the last weeks, `before`: those before them."""

    def share(weeks: pd.DataFrame, part: pd.Series, whole: str) -> Share:
        clusters = (weeks["target_week"].to_numpy(), weeks["night_week"].to_numpy())
        return clustered_share(part.to_numpy(dtype=np.float64), weeks[whole].to_numpy(dtype=np.float64), clusters)

    results = [
        _coverage(
            name,
            at_most_narrow=share(rows, rows["inside_or_at_an_end"], "n"),
            at_most_wide=share(rows, rows["inside"], "n"),
        )
    ]
    if rows["size"].sum() > 0:
        results.append(_bias(name, share(rows, rows["excess"], "size")))
    if rows["baseline_error"].sum() > 0:
        results.append(_value_added(name, share(rows, rows["error"] - rows["baseline_error"], "baseline_error")))
    if rows["size"].sum() > 0 and before["size"].sum() > 0 and before["error"].sum() > 0:
        then = share(before, before["error"], "size")
        if then.half_width is not None:
            results.append(_drift(name, now=share(rows, rows["error"], "size"), then=then))
    return results


def _coverage(name: str, *, at_most_narrow: Share, at_most_wide: Share) -> CheckResult:
    rule = f"the 80 % intervals of {name} hold 80 % of what comes"
    observed = f"{at_most_narrow.value:.1%} of the days in the intervals"
    if at_most_wide.value < at_most_narrow.value:
        observed += f", {at_most_wide.value:.1%} without those at an end"
    lowest = PROMISED - _tolerance(at_most_narrow, LEAST_COVERAGE_GAP)
    highest = PROMISED + _tolerance(at_most_wide, LEAST_COVERAGE_GAP)
    too_narrow, too_wide = at_most_narrow.value < lowest, at_most_wide.value > highest
    way = "narrow" if too_narrow else "wide"
    return _result(
        name="intervals_hold",
        rule=rule,
        share=at_most_narrow,
        observed=observed,
        allowed=f"{max(lowest, 0):.1%} to {min(highest, 1):.1%}",
        success=not (too_narrow or too_wide),
        to_do=f"The intervals are too {way}: plan stock with that in mind, and see whether the shop has changed; the "
        "next training learns their width anew, and a lower setting of retrain_after_days brings it sooner.",
    )


def _bias(name: str, share: Share) -> CheckResult:
    tolerance = _tolerance(share, LEAST_BIAS)
    way = "above" if share.value > 0 else "below"
    return _result(
        name="means_are_unbiased",
        rule=f"the forecasts of {name} are right on average",
        share=share,
        observed=f"forecasts {abs(share.value):.1%} {way} what came",
        allowed=f"{tolerance:.1%} either way",
        success=abs(share.value) <= tolerance,
        to_do="See whether sales have shifted, or rows are missing or came twice; a lower setting of "
        "retrain_after_days lets the model follow sooner.",
    )


def _value_added(name: str, share: Share) -> CheckResult:
    tolerance = _tolerance(share, LEAST_LOSS)
    way = "greater" if share.value > 0 else "smaller"
    return _result(
        name="forecasts_beat_the_profile",
        rule=f"the forecasts of {name} are no worse than the seasonal profile's",
        share=share,
        observed=f"errors {abs(share.value):.1%} {way} than the profile's",
        allowed=f"up to {tolerance:.1%} greater",
        success=share.value <= tolerance,
        to_do="If it stays so, take the model back (ecom-pipeline models rollback sales_forecaster); the next training "
        "has to beat the profile again.",
    )


def _drift(name: str, *, now: Share, then: Share) -> CheckResult:
    """now, then: absolute errors as a share of sales."""
    ratio = now.value / then.value
    chance = None
    if now.half_width is not None and then.half_width is not None:
        chance = float(np.hypot(now.half_width, ratio * then.half_width) / then.value)  # the delta method
    growth = Share(value=ratio - 1, half_width=chance, weeks=now.weeks)
    tolerance = _tolerance(growth, LEAST_GROWTH)
    way = "greater" if growth.value > 0 else "smaller"
    return _result(
        name="errors_do_not_grow",
        rule=f"the errors of the forecasts of {name} are no greater than in the {WEEKS_BEFORE} weeks before",
        share=growth,
        observed=f"errors of {now.value:.1%} of sales, {abs(growth.value):.1%} {way}",
        allowed=f"up to {tolerance:.1%} greater",
        success=growth.value <= tolerance,
        to_do="See what has changed in the shop or in its data; a lower setting of retrain_after_days lets the model "
        "follow sooner.",
    )


def _tolerance(share: Share, least: float) -> float:
    return np.inf if share.half_width is None else max(least, share.half_width)


def _result(
    *, name: str, rule: str, share: Share, observed: str, allowed: str, success: bool, to_do: str
) -> CheckResult:
    found = f"{observed} in {share.weeks} weeks"
    found += f"; not alarming: {allowed}" if share.half_width is not None else f"; {FEWEST_WEEKS} are needed to judge"
    return warning("sales_forecast_accuracy", rule=rule, expectation=name, success=success, observed=found, to_do=to_do)
