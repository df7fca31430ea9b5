-- Error of the forecasts that nights really made, beside the seasonal profile's on the same days.
SELECT
  level, measure,
  CASE WHEN horizon <= 7 THEN 'days 1 to 7' WHEN horizon <= 14 THEN 'days 8 to 14' ELSE 'days 15 and later' END AS ahead,
  count(*) AS forecasts,
  sum(abs_error) / nullif(sum(abs(actual)), 0) AS wape,
  sum(baseline_abs_error) / nullif(sum(abs(actual)), 0) AS baseline_wape,
  1 - sum(abs_error) / nullif(sum(baseline_abs_error), 0) AS value_added,
  avg(CASE WHEN in_80 THEN 1.0 ELSE 0.0 END) AS coverage_80
FROM sales_forecast_accuracy
WHERE target_date <= CAST(:as_of AS DATE)
GROUP BY level, measure, ahead
ORDER BY CASE level WHEN 'total' THEN 1 WHEN 'category' THEN 2 ELSE 3 END, measure, min(horizon)
