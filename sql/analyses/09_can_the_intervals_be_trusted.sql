-- Question: Can the intervals be trusted?
-- Reading: in_interval is the share of days that fell between p10 and p90; near 0.80 the intervals are honest, below it they
--   are too narrow, above it more careful than they say. too_low and too_high should be near 0.10 each: the sales were under p10, or
--   over p90; too_high well above 0.10 is a shop that runs out of stock. Days of one night go right or wrong together: with few nights
--   the shares of the total say little.
SELECT
  level,
  measure,
  count(DISTINCT as_of) AS nights,
  count(*) AS forecasts,
  round(avg(CASE WHEN in_80 THEN 1.0 ELSE 0.0 END), 3) AS in_interval,
  round(avg(CASE WHEN actual < p10 THEN 1.0 ELSE 0.0 END), 3) AS too_low,
  round(avg(CASE WHEN actual > p90 THEN 1.0 ELSE 0.0 END), 3) AS too_high,
  round(sum(p90 - p10) / nullif(sum(abs(actual)), 0), 2) AS width_by_sales
FROM sales_forecast_accuracy
GROUP BY level, measure
ORDER BY CASE level WHEN 'total' THEN 1 WHEN 'category' THEN 2 ELSE 3 END, measure
