-- Question: How good are our forecasts, and are they better than the plain seasonal profile?
-- Reading: All forecasts whose day is over. wape is the sum of the errors by the sum of the sales (0.25: a quarter off);
--   value_added is the share of the profile's error that the model saves, and below 0 the model is the worse one.
SELECT
  level,
  measure,
  CASE WHEN horizon <= 7 THEN 'days 1 to 7' WHEN horizon <= 14 THEN 'days 8 to 14' ELSE 'days 15 and later' END AS ahead,
  count(*) AS forecasts,
  round(sum(abs_error) / nullif(sum(abs(actual)), 0), 3) AS wape,
  round(sum(baseline_abs_error) / nullif(sum(abs(actual)), 0), 3) AS baseline_wape,
  round(1 - sum(abs_error) / nullif(sum(baseline_abs_error), 0), 3) AS value_added
FROM sales_forecast_accuracy
GROUP BY level, measure, ahead
ORDER BY CASE level WHEN 'total' THEN 1 WHEN 'category' THEN 2 ELSE 3 END, measure, min(horizon)
