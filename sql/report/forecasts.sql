-- The night's forecasts of the series on the page.
SELECT
  f.level, f.series_id, f.measure, f.horizon, f.mean, f.p05, f.p10, f.p25, f.p50, f.p75, f.p90, f.p95, f.baseline
FROM sales_forecasts AS f
JOIN chosen_series AS c ON f.level = c.level AND f.series_id = c.series_id
WHERE f.as_of = CAST(:as_of AS DATE)
ORDER BY f.level, f.series_id, f.measure, f.horizon
