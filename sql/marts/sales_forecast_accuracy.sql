-- Forecasts of past nights beside what came, for the target dates after :since. A product that has left the shop sold
-- nothing; what is not known (out of stock, no price) is not scored.
WITH actuals AS (
  SELECT level, series_id, date, 'quantity' AS measure, quantity AS actual
  FROM feat_sales_daily
  WHERE date > :since AND date <= :as_of
  UNION ALL
  SELECT level, series_id, date, 'revenue', revenue
  FROM feat_sales_daily
  WHERE date > :since AND date <= :as_of
),
scored AS (
  SELECT
    f.as_of, f.level, f.series_id, f.measure, f.target_date, f.horizon,
    CASE WHEN a.series_id IS NULL THEN 0 ELSE a.actual END AS actual,
    f.mean, f.p50, f.p10, f.p90, f.baseline, f.model, f.model_version
  FROM sales_forecasts AS f
  LEFT JOIN actuals AS a
    ON f.level = a.level
    AND f.series_id = a.series_id
    AND f.measure = a.measure
    AND f.target_date = a.date
  WHERE f.as_of < :as_of AND f.target_date > :since AND f.target_date <= :as_of
)
SELECT
  as_of, level, series_id, measure, target_date, horizon, actual, mean, p50, p10, p90, baseline,
  abs(actual - mean) AS abs_error,
  abs(actual - baseline) AS baseline_abs_error,
  actual >= p10 AND actual <= p90 AS in_80,
  model,
  model_version
FROM scored
WHERE actual IS NOT NULL
