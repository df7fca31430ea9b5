-- Question: Which categories are expected to grow or shrink over the next four weeks?
-- Reading: Units forecast for the next 28 days beside the units of the last 28. change is the difference as a share of
--   what was sold; categories at the top grow most.
WITH night AS (
  SELECT max(as_of) AS as_of FROM sales_forecasts
),
expected AS (
  SELECT f.series_id, sum(f.mean) AS units
  FROM sales_forecasts AS f
  JOIN night AS n ON f.as_of = n.as_of
  WHERE f.level = 'category' AND f.measure = 'quantity' AND f.horizon <= 28
  GROUP BY f.series_id
),
sold AS (
  SELECT s.series_id, sum(s.quantity) AS units
  FROM sales_daily AS s
  JOIN night AS n ON s.date <= n.as_of AND s.date > n.as_of - INTERVAL 28 DAY
  WHERE s.level = 'category'
  GROUP BY s.series_id
)
SELECT
  e.series_id AS category,
  round(s.units, 0) AS units_last_28_days,
  round(e.units, 0) AS units_next_28_days,
  round((e.units - s.units) / nullif(s.units, 0), 3) AS change
FROM expected AS e
JOIN sold AS s ON e.series_id = s.series_id
ORDER BY change DESC NULLS LAST, category
