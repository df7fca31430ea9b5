-- Question: How will the shop as a whole do on each of the next 14 days, and what was it on the last such weekday?
-- Reading: One row a day. In eight of ten days the sales should fall between low_units and high_units; last_such_weekday is
--   what was sold on the same weekday of the last seven days. A day far above or below it is due to the season, a promotion or a
--   holiday ahead.
SELECT
  f.target_date,
  strftime(f.target_date, '%A') AS weekday,
  round(f.mean, 1) AS expected_units,
  round(f.p10, 1) AS low_units,
  round(f.p90, 1) AS high_units,
  s.quantity AS last_such_weekday,
  round(r.mean, 2) AS expected_revenue
FROM sales_forecasts AS f
LEFT JOIN sales_forecasts AS r
  ON r.as_of = f.as_of
  AND r.level = f.level
  AND r.series_id = f.series_id
  AND r.measure = 'revenue'
  AND r.target_date = f.target_date
LEFT JOIN sales_daily AS s
  ON s.level = 'total' AND s.date = f.target_date - CAST(7 * ceil(f.horizon / 7) AS INTEGER)
WHERE f.as_of = (SELECT max(as_of) FROM sales_forecasts)
  AND f.level = 'total'
  AND f.measure = 'quantity'
  AND f.horizon <= 14
ORDER BY f.target_date
