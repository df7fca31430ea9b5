-- Question: How good are our forecasts, and are they better than the plain seasonal profile?
-- Reading: All forecasts whose day is over. wape is the sum of the errors by the sum of the sales (0.25: a quarter off);
--   value_added is the share of the profile's error that the model saves, and below 0 the model is the worse one. bias is forecast
--   less sales by sales: 0.1 says a tenth too much, and a plan that follows the forecast has too much stock. Few nights say
--   little: read the number of nights first.
SELECT
  level,
  measure,
  CASE WHEN horizon <= 7 THEN 'days 1 to 7' WHEN horizon <= 14 THEN 'days 8 to 14' ELSE 'days 15 and later' END AS ahead,
  count(DISTINCT as_of) AS nights,
  count(*) AS forecasts,
  round(sum(abs_error) / nullif(sum(abs(actual)), 0), 3) AS wape,
  round(sum(baseline_abs_error) / nullif(sum(abs(actual)), 0), 3) AS baseline_wape,
  round(1 - sum(abs_error) / nullif(sum(baseline_abs_error), 0), 3) AS value_added,
  round((sum(mean) - sum(actual)) / nullif(sum(abs(actual)), 0), 3) AS bias
FROM sales_forecast_accuracy
GROUP BY level, measure, ahead
ORDER BY CASE level WHEN 'total' THEN 1 WHEN 'category' THEN 2 ELSE 3 END, measure, min(horizon)
